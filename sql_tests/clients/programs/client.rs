// Rust, rusqlite with the system's SQLite.
use rusqlite::types::Value;
use rusqlite::{params_from_iter, Connection};
use std::time::Duration;

extern "C" {
    fn fork() -> i32;
    fn waitpid(child: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

const COUNTS: &str = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";

fn open(timeout: u64) -> Connection {
    let db = Connection::open("test.db").unwrap();
    db.busy_timeout(Duration::from_millis(timeout)).unwrap();
    unsafe {
        db.load_extension_enable().unwrap();
        db.load_extension(std::env::args().nth(1).unwrap(), None).unwrap();
    }
    db.load_extension_disable().unwrap();
    db
}

fn one(db: &Connection, sql: &str, values: &[Value]) -> String {
    match db.query_row(sql, params_from_iter(values), |row| row.get::<_, Value>(0)).unwrap() {
        Value::Text(text) => text,
        Value::Integer(number) => number.to_string(),
        other => format!("{:?}", other),
    }
}

fn refused(db: &Connection, sql: &str) -> String {
    match db.execute_batch(sql) {
        Ok(()) => "no error".to_string(),
        Err(rusqlite::Error::SqliteFailure(_, Some(message))) => message,
        Err(error) => error.to_string(),
    }
}

fn insert_rows() {
    let mut db = open(10000);
    let transaction = db.transaction().unwrap();
    for n in 0..100 {
        transaction.execute("INSERT INTO t(k) VALUES (?)", [format!("thread {}", n)]).unwrap();
    }
    transaction.commit().unwrap();
}

fn main() {
    let rows = [
        ("integer", Value::Integer(i64::MAX)),
        ("negative", Value::Integer(-9007199254740993)),
        ("real", Value::Real(1.5)),
        ("text", Value::Text("it's zażółć".to_string())),
        ("日本", Value::Text("😀𝄞".to_string())),
        ("blob", Value::Blob(vec![0, 255, 16])),
        ("null", Value::Null),
    ];
    let mut db = open(10000);
    println!("sqlite {}", one(&db, "SELECT sqlite_version()", &[]));
    one(&db, "PRAGMA journal_mode = WAL", &[]);
    db.execute_batch(
        "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n)); CREATE TABLE o(k TEXT PRIMARY KEY, v)",
    )
    .unwrap();
    let transaction = db.transaction().unwrap();
    for table in ["t", "o"] {
        for (k, v) in &rows {
            transaction.execute(&format!("INSERT INTO {}(k, v) VALUES (?, ?)", table), (k, v)).unwrap();
        }
    }
    transaction.commit().unwrap();
    {
        let mut select = db.prepare("SELECT k, v FROM t ORDER BY k").unwrap();
        let mut found = select.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let (k, v): (String, Value) = (row.get(0).unwrap(), row.get(1).unwrap());
            println!("row {} {}", k, one(&db, "SELECT typeof(?1) || ' ' || quote(?1)", &[v]));
        }
    }
    {
        let transaction = db.transaction().unwrap();
        transaction.execute_batch("DELETE FROM t; INSERT INTO o VALUES ('lost', 1)").unwrap();
    } // dropped: rolled back
    println!("rollback {}", one(&db, COUNTS, &[]));
    db.execute_batch("BEGIN; INSERT INTO t(k, v) VALUES ('c', 1); INSERT INTO o VALUES ('c', 1); COMMIT").unwrap();
    println!("commit {}", one(&db, COUNTS, &[]));
    let mut transaction = db.transaction().unwrap();
    transaction.execute_batch("INSERT INTO t(k) VALUES ('d')").unwrap();
    {
        let savepoint = transaction.savepoint().unwrap();
        savepoint.execute_batch("DELETE FROM t; INSERT INTO t(k) VALUES ('lost')").unwrap();
    } // likewise
    transaction.commit().unwrap();
    println!("savepoint {}", one(&db, COUNTS, &[]));
    println!("error {}", refused(&db, "INSERT INTO t(k) VALUES ('c')"));
    db.close().unwrap();

    let db = open(10000);
    println!("reopened {}", one(&db, COUNTS, &[]));
    let other = open(0);
    other.execute_batch("INSERT INTO t(k) VALUES ('second')").unwrap();
    println!("second {}", one(&db, COUNTS, &[]));
    db.execute_batch("BEGIN IMMEDIATE; INSERT INTO t(k) VALUES ('undone')").unwrap();
    println!("error {}", refused(&other, "INSERT INTO t(k) VALUES ('busy')"));
    db.execute_batch("ROLLBACK").unwrap();
    other.close().unwrap();

    std::thread::spawn(insert_rows).join().unwrap();
    println!("thread {}", one(&db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'", &[]));

    let mut status = 0;
    unsafe {
        let child = fork();
        if child == 0 {
            _exit(if refused(&db, "DELETE FROM t").contains("before fork") { 0 } else { 1 });
        }
        waitpid(child, &mut status, 0);
    }
    db.execute_batch("INSERT INTO t(k) VALUES ('forked')").unwrap();
    let word = if status == 0 { "refused" } else { "allowed" };
    println!("fork {} {}", word, one(&db, "SELECT count(*) FROM t WHERE k = 'forked'", &[]));

    db.execute_batch("DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'").unwrap();
    println!("check {}", one(&db, "SELECT lsm_check() || ' ' || count(*) FROM t", &[]));
    db.close().unwrap();

    let db = open(10000);
    db.execute_batch("INSERT INTO t(k) VALUES ('left open')").unwrap();
    println!("left open");
    std::process::exit(0); // without closing
}
