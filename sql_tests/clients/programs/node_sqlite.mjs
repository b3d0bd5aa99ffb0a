// node:sqlite, of node 22.13 and later, and of Deno: the SQLite inside the program.
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { insertRows, run } from './scenario.mjs';

const extension = isMainThread ? process.argv[2] : workerData;

function open(timeout) {
  const db = new DatabaseSync('test.db', { allowExtension: true });
  db.exec(`PRAGMA busy_timeout = ${timeout}`);
  db.loadExtension(extension);
  const prepare = sql => {
    const statement = db.prepare(sql);
    statement.setReadBigInts(true);
    return statement;
  };
  return {
    exec: sql => db.exec(sql),
    one: (sql, ...values) => Object.values(prepare(sql).get(...values))[0],
    all: sql => prepare(sql).all(),
    insert: (table, k, v) => db.prepare(`INSERT INTO ${table}(k, v) VALUES (?, ?)`).run(k, v),
    close: () => db.close(),
  };
}

if (isMainThread) {
  await run(open, () => new Promise((resolve, reject) => {
    new Worker(new URL(import.meta.url), { workerData: extension }).on('error', reject).on('exit', resolve);
  }));
} else {
  insertRows(open(10000));
}
