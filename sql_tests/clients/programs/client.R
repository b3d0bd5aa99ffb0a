# R, RSQLite: a SQLite of its own.
library(DBI)
arguments <- commandArgs(trailingOnly = TRUE)

open <- function(timeout) {
  db <- dbConnect(RSQLite::SQLite(), "test.db", loadable.extensions = TRUE, bigint = "integer64", synchronous = NULL)
  dbGetQuery(db, paste("PRAGMA busy_timeout =", timeout))
  dbGetQuery(db, "SELECT load_extension(?)", params = list(arguments[1]))
  db
}
one <- function(db, sql, ...) dbGetQuery(db, sql, ...)[[1]][1]
run <- function(db, ...) for (sql in c(...)) dbExecute(db, sql)
refused <- function(db, sql) tryCatch({ dbExecute(db, sql); "no error" }, error = function(error) conditionMessage(error))
say <- function(...) cat(paste(...), "\n", sep = "")

counts <- "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)"
rows <- list(list("integer", bit64::as.integer64("9223372036854775807")), list("negative", bit64::as.integer64("-9007199254740993")), list("real", 1.5),
             list("text", "it's zażółć"), list("日本", "😀𝄞"), list("blob", list(as.raw(c(0, 255, 16)))), list("null", NA))

db <- open(10000)
say("sqlite", one(db, "SELECT sqlite_version()"))
invisible(one(db, "PRAGMA journal_mode = WAL"))
run(db, "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))", "CREATE TABLE o(k TEXT PRIMARY KEY, v)")
invisible(dbWithTransaction(db, {
  for (table in c("t", "o")) for (row in rows) dbExecute(db, paste0("INSERT INTO ", table, "(k, v) VALUES (?, ?)"), params = row)
}))
# A column of R has one type: the rows are read one by one.
for (k in dbGetQuery(db, "SELECT k FROM t ORDER BY k")$k) {
  v <- dbGetQuery(db, "SELECT v FROM t WHERE k = ?", params = list(k))$v
  say("row", k, one(db, "SELECT typeof(x) || ' ' || quote(x) FROM (SELECT ? AS x)", params = list(v)))
}
run(db, "BEGIN", "DELETE FROM t", "INSERT INTO o VALUES ('lost', 1)", "ROLLBACK")
say("rollback", one(db, counts))
run(db, "BEGIN", "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)", "COMMIT")
say("commit", one(db, counts))
run(db, "BEGIN", "INSERT INTO t(k) VALUES ('d')", "SAVEPOINT s", "DELETE FROM t", "INSERT INTO t(k) VALUES ('lost')", "ROLLBACK TO s", "RELEASE s", "COMMIT")
say("savepoint", one(db, counts))
say("error", refused(db, "INSERT INTO t(k) VALUES ('c')"))
dbDisconnect(db)

db <- open(10000)
say("reopened", one(db, counts))
other <- open(0)
run(other, "INSERT INTO t(k) VALUES ('second')")
say("second", one(db, counts))
run(db, "BEGIN IMMEDIATE", "INSERT INTO t(k) VALUES ('undone')")
say("error", refused(other, "INSERT INTO t(k) VALUES ('busy')"))
run(db, "ROLLBACK")
dbDisconnect(other)

# The child runs in a fork of this process and ends without R's finalizers.
said <- parallel::mccollect(parallel::mcparallel(refused(db, "DELETE FROM t")))[[1]]
run(db, "INSERT INTO t(k) VALUES ('forked')")
say("fork", if (grepl("before fork", said)) "refused" else "allowed", one(db, "SELECT count(*) FROM t WHERE k = 'forked'"))

run(db, "DELETE FROM t WHERE k = 'forked'")
say("check", one(db, "SELECT lsm_check() || ' ' || count(*) FROM t"))
dbDisconnect(db)

db <- open(10000)
run(db, "INSERT INTO t(k) VALUES ('left open')")
say("left open")
