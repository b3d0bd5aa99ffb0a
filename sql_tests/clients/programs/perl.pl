# Perl, DBD::SQLite.
use strict;
use warnings;
use utf8;
use threads;
use DBI qw(:sql_types);
use POSIX ();
binmode STDOUT, ':encoding(UTF-8)';
$| = 1;

sub connect_here {
    my $timeout = shift;
    my $db = DBI->connect('dbi:SQLite:dbname=test.db', '', '', {RaiseError => 1, PrintError => 0, sqlite_unicode => 1, AutoInactiveDestroy => 1});
    $db->sqlite_busy_timeout($timeout);
    $db->sqlite_enable_load_extension(1);
    $db->sqlite_load_extension($ARGV[0]);
    return $db;
}

sub one {
    my ($db, $sql) = @_;
    return $db->selectrow_array($sql);
}

sub run {
    my ($db, @statements) = @_;
    $db->do($_) for @statements;
}

sub refused {
    my ($db, $sql) = @_;
    eval { $db->do($sql); 1 } and return 'no error';
    return $db->errstr;
}

my $counts = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";
my %type = (integer => SQL_INTEGER, real => SQL_REAL, text => SQL_VARCHAR, blob => SQL_BLOB, null => SQL_VARCHAR);
my @rows = (['integer', 9223372036854775807, 'integer'], ['negative', -9007199254740993, 'integer'], ['real', 1.5, 'real'], ['text', "it's zażółć", 'text'],
    ['日本', '😀𝄞', 'text'], ['blob', "\x00\xff\x10", 'blob'], ['null', undef, 'null']);

my $db = connect_here(10000);
print 'sqlite ', one($db, 'SELECT sqlite_version()'), "\n";
one($db, 'PRAGMA journal_mode = WAL');
run($db, 'CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))', 'CREATE TABLE o(k TEXT PRIMARY KEY, v)');
$db->begin_work;
for my $table ('t', 'o') {
    my $insert = $db->prepare("INSERT INTO $table(k, v) VALUES (?, ?)");
    for my $row (@rows) {
        $insert->bind_param(1, $row->[0]);
        $insert->bind_param(2, $row->[1], $type{$row->[2]});
        $insert->execute;
    }
}
$db->commit;
# Perl's values have no type of their own: it is asked for, and the value sent back with it.
for my $row (@{$db->selectall_arrayref('SELECT k, v, typeof(v) FROM t ORDER BY k')}) {
    my $back = $db->prepare("SELECT typeof(?1) || ' ' || quote(?1)");
    $back->bind_param(1, $row->[1], $type{$row->[2]});
    $back->execute;
    print "row $row->[0] ", $back->fetchrow_array, "\n";
}
$db->begin_work;
run($db, 'DELETE FROM t', "INSERT INTO o VALUES ('lost', 1)");
$db->rollback;
print 'rollback ', one($db, $counts), "\n";
$db->begin_work;
run($db, "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)");
$db->commit;
print 'commit ', one($db, $counts), "\n";
$db->begin_work;
run($db, "INSERT INTO t(k) VALUES ('d')", 'SAVEPOINT s', 'DELETE FROM t', "INSERT INTO t(k) VALUES ('lost')", 'ROLLBACK TO s', 'RELEASE s');
$db->commit;
print 'savepoint ', one($db, $counts), "\n";
print 'error ', refused($db, "INSERT INTO t(k) VALUES ('c')"), "\n";
$db->disconnect;

$db = connect_here(10000);
print 'reopened ', one($db, $counts), "\n";
my $other = connect_here(0);
run($other, "INSERT INTO t(k) VALUES ('second')");
print 'second ', one($db, $counts), "\n";
run($db, 'BEGIN IMMEDIATE', "INSERT INTO t(k) VALUES ('undone')");
print 'error ', refused($other, "INSERT INTO t(k) VALUES ('busy')"), "\n";
run($db, 'ROLLBACK');
$other->disconnect;

threads->create(sub {
    my $mine = connect_here(10000);
    $mine->begin_work;
    my $insert = $mine->prepare('INSERT INTO t(k) VALUES (?)');
    $insert->execute("thread $_") for 0 .. 99;
    $mine->commit;
    $mine->disconnect;
})->join;
print 'thread ', one($db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'"), "\n";

my $child = fork;
POSIX::_exit(refused($db, 'SELECT count(*) FROM t') =~ /before fork/ ? 0 : 1) if $child == 0;
waitpid $child, 0;
my $word = $? == 0 ? 'refused' : 'allowed';
run($db, "INSERT INTO t(k) VALUES ('forked')");
print "fork $word ", one($db, "SELECT count(*) FROM t WHERE k = 'forked'"), "\n";

run($db, "DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'");
print 'check ', one($db, "SELECT lsm_check() || ' ' || count(*) FROM t"), "\n";
$db->disconnect;

$db = connect_here(10000);
run($db, "INSERT INTO t(k) VALUES ('left open')");
print "left open\n";
