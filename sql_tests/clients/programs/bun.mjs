// Bun, bun:sqlite: the SQLite inside the program.
import { Database } from 'bun:sqlite';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { insertRows, run } from './scenario.mjs';

const extension = isMainThread ? process.argv[2] : workerData;

function open(timeout) {
  const db = new Database('test.db', { create: true, readwrite: true, safeIntegers: true });
  db.exec(`PRAGMA busy_timeout = ${timeout}`);
  db.loadExtension(extension);
  return {
    exec: sql => db.exec(sql),
    one: (sql, ...values) => db.query(sql).values(...values)[0][0],
    all: sql => db.query(sql).all(),
    insert: (table, k, v) => db.query(`INSERT INTO ${table}(k, v) VALUES (?, ?)`).run(k, v),
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
