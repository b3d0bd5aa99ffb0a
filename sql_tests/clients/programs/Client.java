// Java, JDBC of xerial's sqlite-jdbc.
import java.sql.*;
import org.sqlite.SQLiteConfig;

class Client {
    static String extension;

    static Connection open(int timeout) throws SQLException {
        SQLiteConfig config = new SQLiteConfig();
        config.enableLoadExtension(true);
        config.setBusyTimeout(timeout);
        Connection db = DriverManager.getConnection("jdbc:sqlite:test.db", config.toProperties());
        try (PreparedStatement load = db.prepareStatement("SELECT load_extension(?)")) {
            load.setString(1, extension);
            load.execute();
        }
        return db;
    }

    static String one(Connection db, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
            try (ResultSet rows = statement.executeQuery()) {
                return rows.getString(1);
            }
        }
    }

    static void run(Connection db, String... statements) throws SQLException {
        try (Statement statement = db.createStatement()) {
            for (String sql : statements) statement.executeUpdate(sql);
        }
    }

    // "[SQLITE_BUSY] The database file is locked (database is locked)"
    static String refused(Connection db, String sql) {
        try {
            run(db, sql);
            return "no error";
        } catch (SQLException error) {
            return error.getMessage().replaceAll(".*\\((.*)\\)$", "$1");
        }
    }

    static void insertRows() {
        try (Connection db = open(10000)) {
            db.setAutoCommit(false);
            try (PreparedStatement insert = db.prepareStatement("INSERT INTO t(k) VALUES (?)")) {
                for (int n = 0; n < 100; n++) {
                    insert.setString(1, "thread " + n);
                    insert.addBatch();
                }
                insert.executeBatch();
            }
            db.commit();
        } catch (SQLException error) {
            throw new RuntimeException(error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        final String counts = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";
        final Object[][] rows = {{"integer", 9223372036854775807L}, {"negative", -9007199254740993L}, {"real", 1.5}, {"text", "it's zażółć"},
            {"日本", "😀𝄞"}, {"blob", new byte[] {0, (byte) 255, 16}}, {"null", null}};
        extension = arguments[0];
        Connection db = open(10000);
        System.out.println("sqlite " + one(db, "SELECT sqlite_version()"));
        one(db, "PRAGMA journal_mode = WAL");
        run(db, "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))", "CREATE TABLE o(k TEXT PRIMARY KEY, v)");
        db.setAutoCommit(false);
        for (String table : new String[] {"t", "o"}) {
            try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + table + "(k, v) VALUES (?, ?)")) {
                for (Object[] row : rows) {
                    insert.setObject(1, row[0]);
                    insert.setObject(2, row[1]);
                    insert.executeUpdate();
                }
            }
        }
        db.commit();
        try (Statement statement = db.createStatement(); ResultSet found = statement.executeQuery("SELECT k, v FROM t ORDER BY k")) {
            while (found.next())
                System.out.println("row " + found.getString(1) + " " + one(db, "SELECT typeof(?1) || ' ' || quote(?1)", found.getObject(2)));
        }
        run(db, "DELETE FROM t", "INSERT INTO o VALUES ('lost', 1)");
        db.rollback();
        System.out.println("rollback " + one(db, counts));
        run(db, "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)");
        db.commit();
        System.out.println("commit " + one(db, counts));
        run(db, "INSERT INTO t(k) VALUES ('d')");
        Savepoint savepoint = db.setSavepoint();
        run(db, "DELETE FROM t", "INSERT INTO t(k) VALUES ('lost')");
        db.rollback(savepoint);
        db.releaseSavepoint(savepoint);
        db.commit();
        db.setAutoCommit(true);
        System.out.println("savepoint " + one(db, counts));
        System.out.println("error " + refused(db, "INSERT INTO t(k) VALUES ('c')"));
        db.close();

        db = open(10000);
        System.out.println("reopened " + one(db, counts));
        Connection other = open(0);
        run(other, "INSERT INTO t(k) VALUES ('second')");
        System.out.println("second " + one(db, counts));
        run(db, "BEGIN IMMEDIATE", "INSERT INTO t(k) VALUES ('undone')");
        System.out.println("error " + refused(other, "INSERT INTO t(k) VALUES ('busy')"));
        run(db, "ROLLBACK");
        other.close();

        Thread thread = new Thread(Client::insertRows);
        thread.start();
        thread.join();
        System.out.println("thread " + one(db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'"));
        run(db, "DELETE FROM t WHERE k LIKE 'thread%'");
        System.out.println("check " + one(db, "SELECT lsm_check() || ' ' || count(*) FROM t"));
        db.close();

        db = open(10000);
        run(db, "INSERT INTO t(k) VALUES ('left open')");
        System.out.println("left open");
    }
}
