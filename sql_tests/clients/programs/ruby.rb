# Ruby, gem sqlite3.
require 'sqlite3'
$stdout.sync = true

def connect(timeout = 10000)
  db = SQLite3::Database.new('test.db')
  db.busy_timeout(timeout)
  db.enable_load_extension(true)
  db.load_extension(ARGV[0])
  db.enable_load_extension(false)
  db
end

def run(db, *statements)
  statements.each { |sql| db.execute(sql) }
end

def refused(db, sql)
  db.execute(sql)
  'no error'
rescue SQLite3::Exception => error
  error.message
end

COUNTS = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)"
ROWS = [['integer', 9223372036854775807], ['negative', -9007199254740993], ['real', 1.5], ['text', "it's zażółć"], ['日本', '😀𝄞'],
        ['blob', SQLite3::Blob.new("\x00\xff\x10".b)], ['null', nil]].freeze

db = connect
puts "sqlite #{db.get_first_value('SELECT sqlite_version()')}"
db.get_first_value('PRAGMA journal_mode = WAL')
run(db, 'CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))', 'CREATE TABLE o(k TEXT PRIMARY KEY, v)')
db.transaction do
  %w[t o].each { |table| ROWS.each { |row| db.execute("INSERT INTO #{table}(k, v) VALUES (?, ?)", row) } }
end
db.execute('SELECT k, v FROM t ORDER BY k').each do |k, v|
  puts "row #{k} #{db.get_first_value("SELECT typeof(?1) || ' ' || quote(?1)", [v])}"
end
run(db, 'BEGIN', 'DELETE FROM t', "INSERT INTO o VALUES ('lost', 1)", 'ROLLBACK')
puts "rollback #{db.get_first_value(COUNTS)}"
db.transaction { run(db, "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)") }
puts "commit #{db.get_first_value(COUNTS)}"
run(db, 'BEGIN', "INSERT INTO t(k) VALUES ('d')", 'SAVEPOINT s', 'DELETE FROM t', "INSERT INTO t(k) VALUES ('lost')", 'ROLLBACK TO s', 'RELEASE s', 'COMMIT')
puts "savepoint #{db.get_first_value(COUNTS)}"
puts "error #{refused(db, "INSERT INTO t(k) VALUES ('c')")}"
db.close

db = connect
puts "reopened #{db.get_first_value(COUNTS)}"
other = connect(0)
run(other, "INSERT INTO t(k) VALUES ('second')")
puts "second #{db.get_first_value(COUNTS)}"
run(db, 'BEGIN IMMEDIATE', "INSERT INTO t(k) VALUES ('undone')")
puts "error #{refused(other, "INSERT INTO t(k) VALUES ('busy')")}"
run(db, 'ROLLBACK')
other.close

Thread.new do
  mine = connect
  mine.transaction { 100.times { |n| mine.execute('INSERT INTO t(k) VALUES (?)', ["thread #{n}"]) } }
  mine.close
end.join
puts "thread #{db.get_first_value("SELECT count(*) FROM t WHERE k LIKE 'thread%'")}"

child = fork { exit!(refused(db, 'SELECT count(*) FROM t').include?('before fork') ? 0 : 1) }
Process.wait(child)
word = $?.success? ? 'refused' : 'allowed'
run(db, "INSERT INTO t(k) VALUES ('forked')")
puts "fork #{word} #{db.get_first_value("SELECT count(*) FROM t WHERE k = 'forked'")}"

run(db, "DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'")
puts "check #{db.get_first_value("SELECT lsm_check() || ' ' || count(*) FROM t")}"
db.close

db = connect
run(db, "INSERT INTO t(k) VALUES ('left open')")
puts 'left open'
