<?php
// PHP, class SQLite3; wants -d sqlite3.extension_dir=FOLDER and the bare name of the file.
function connect(int $timeout = 10000): SQLite3 {
    global $argv;
    $db = new SQLite3('test.db');
    $db->enableExceptions(true);
    $db->busyTimeout($timeout);
    $db->loadExtension(basename($argv[1]) . '.so');
    return $db;
}

function run(SQLite3 $db, string ...$statements): void {
    foreach ($statements as $sql) $db->exec($sql);
}

function refused(SQLite3 $db, string $sql): string {
    try {
        $db->querySingle($sql);
        return 'no error';
    } catch (Exception $error) {
        return preg_replace('/^Unable to .*?: ?/', '', $error->getMessage());
    }
}

const COUNTS = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";
const ROWS = [['integer', 9223372036854775807, SQLITE3_INTEGER], ['negative', -9007199254740993, SQLITE3_INTEGER], ['real', 1.5, SQLITE3_FLOAT],
    ['text', "it's zażółć", SQLITE3_TEXT], ['日本', '😀𝄞', SQLITE3_TEXT], ['blob', "\x00\xff\x10", SQLITE3_BLOB], ['null', null, SQLITE3_NULL]];

$db = connect();
echo 'sqlite ', SQLite3::version()['versionString'], "\n";
$db->querySingle('PRAGMA journal_mode = WAL');
run($db, 'CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))', 'CREATE TABLE o(k TEXT PRIMARY KEY, v)', 'BEGIN');
foreach (['t', 'o'] as $table) {
    $insert = $db->prepare("INSERT INTO $table(k, v) VALUES (?, ?)");
    foreach (ROWS as [$k, $v, $type]) {
        $insert->bindValue(1, $k, SQLITE3_TEXT);
        $insert->bindValue(2, $v, $type);
        $insert->execute();
        $insert->reset();
    }
}
$insert->close();
run($db, 'COMMIT');
$rows = $db->query('SELECT k, v FROM t ORDER BY k');
while ($row = $rows->fetchArray(SQLITE3_NUM)) {
    $back = $db->prepare("SELECT typeof(?1) || ' ' || quote(?1)");
    $back->bindValue(1, $row[1], $rows->columnType(1));
    echo "row $row[0] ", $back->execute()->fetchArray(SQLITE3_NUM)[0], "\n";
}
$rows->finalize();
run($db, 'BEGIN', 'DELETE FROM t', "INSERT INTO o VALUES ('lost', 1)", 'ROLLBACK');
echo 'rollback ', $db->querySingle(COUNTS), "\n";
run($db, 'BEGIN', "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)", 'COMMIT');
echo 'commit ', $db->querySingle(COUNTS), "\n";
run($db, 'BEGIN', "INSERT INTO t(k) VALUES ('d')", 'SAVEPOINT s', 'DELETE FROM t', "INSERT INTO t(k) VALUES ('lost')", 'ROLLBACK TO s', 'RELEASE s', 'COMMIT');
echo 'savepoint ', $db->querySingle(COUNTS), "\n";
echo 'error ', refused($db, "INSERT INTO t(k) VALUES ('c')"), "\n";
$db->close();

$db = connect();
echo 'reopened ', $db->querySingle(COUNTS), "\n";
$other = connect(0);
run($other, "INSERT INTO t(k) VALUES ('second')");
echo 'second ', $db->querySingle(COUNTS), "\n";
run($db, 'BEGIN IMMEDIATE', "INSERT INTO t(k) VALUES ('undone')");
echo 'error ', refused($other, "INSERT INTO t(k) VALUES ('busy')"), "\n";
run($db, 'ROLLBACK');
$other->close();

if (function_exists('pcntl_fork')) {
    $child = pcntl_fork();
    // The child ends as PHP programs do: it destroys what it inherited.
    if ($child === 0) exit(str_contains(refused($db, 'SELECT count(*) FROM t'), 'before fork') ? 0 : 1);
    pcntl_waitpid($child, $status);
    run($db, "INSERT INTO t(k) VALUES ('forked')");
    echo 'fork ', $status === 0 ? 'refused ' : 'allowed ', $db->querySingle("SELECT count(*) FROM t WHERE k = 'forked'"), "\n";
}

run($db, "DELETE FROM t WHERE k = 'forked'");
echo 'check ', $db->querySingle("SELECT lsm_check() || ' ' || count(*) FROM t"), "\n";
$db->close();

$db = connect();
run($db, "INSERT INTO t(k) VALUES ('left open')");
echo "left open\n";
