// node, better-sqlite3: a SQLite of its own, built without the interfaces it does not use.
import { createRequire } from 'node:module';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { insertRows, run } from './scenario.mjs';

const extension = isMainThread ? process.argv[2] : workerData;
const Database = createRequire(`${process.cwd()}/`)('better-sqlite3');

function open(timeout) {
  const db = new Database('test.db', { timeout });
  db.defaultSafeIntegers(true);
  db.loadExtension(extension);
  return {
    exec: sql => db.exec(sql),
    one: (sql, ...values) => db.prepare(sql).pluck().get(...values),
    all: sql => db.prepare(sql).all(),
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
