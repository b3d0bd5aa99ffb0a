// What the hosts of JavaScript share. open(timeout): a connection with exec(sql), one(sql), all(sql) and insert(table, k, v); integers beyond 2^53 are BigInts.
// insertInThread(): resolves when another thread has inserted its rows through a connection of its own.
import { Buffer } from 'node:buffer';

const COUNTS = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";
const ROWS = [['integer', 9223372036854775807n], ['negative', -9007199254740993n], ['real', 1.5], ['text', "it's zażółć"], ['日本', '😀𝄞'],
  ['blob', Buffer.from([0, 255, 16])], ['null', null]];

function refused(db, sql) {
  try {
    db.exec(sql);
    return 'no error';
  } catch (error) {
    return error.message;
  }
}

export async function run(open, insertInThread) {
  let db = open(10000);
  console.log('sqlite', db.one('SELECT sqlite_version()'));
  db.one('PRAGMA journal_mode = WAL');
  db.exec('CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n)); CREATE TABLE o(k TEXT PRIMARY KEY, v)');
  db.exec('BEGIN');
  for (const table of ['t', 'o']) for (const [k, v] of ROWS) db.insert(table, k, v);
  db.exec('COMMIT');
  for (const { k, v } of db.all('SELECT k, v FROM t ORDER BY k')) console.log('row', k, db.one("SELECT typeof(x) || ' ' || quote(x) FROM (SELECT ? AS x)", v));
  db.exec("BEGIN; DELETE FROM t; INSERT INTO o VALUES ('lost', 1); ROLLBACK");
  console.log('rollback', db.one(COUNTS));
  db.exec("BEGIN; INSERT INTO t(k, v) VALUES ('c', 1); INSERT INTO o VALUES ('c', 1); COMMIT");
  console.log('commit', db.one(COUNTS));
  db.exec("BEGIN; INSERT INTO t(k) VALUES ('d'); SAVEPOINT s; DELETE FROM t; INSERT INTO t(k) VALUES ('lost'); ROLLBACK TO s; RELEASE s; COMMIT");
  console.log('savepoint', db.one(COUNTS));
  console.log('error', refused(db, "INSERT INTO t(k) VALUES ('c')"));
  db.close();

  db = open(10000);
  console.log('reopened', db.one(COUNTS));
  const other = open(0);
  other.exec("INSERT INTO t(k) VALUES ('second')");
  console.log('second', db.one(COUNTS));
  db.exec("BEGIN IMMEDIATE; INSERT INTO t(k) VALUES ('undone')");
  console.log('error', refused(other, "INSERT INTO t(k) VALUES ('busy')"));
  db.exec('ROLLBACK');
  other.close();

  await insertInThread();
  console.log('thread', db.one("SELECT count(*) || '' FROM t WHERE k LIKE 'thread%'"));
  db.exec("DELETE FROM t WHERE k LIKE 'thread%'");
  console.log('check', db.one("SELECT lsm_check() || ' ' || count(*) FROM t"));
  db.close();

  db = open(10000);
  db.exec("INSERT INTO t(k) VALUES ('left open')");
  console.log('left open');
}

export function insertRows(db) {
  db.exec('BEGIN');
  for (let n = 0; n < 100; n++) db.insert('t', `thread ${n}`, null);
  db.exec('COMMIT');
  db.close();
}
