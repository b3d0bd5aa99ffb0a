<?php
// PHP, PDO: has no way to allow extensions. Tries it, and says what it is told.
try {
    (new PDO('sqlite:test.db'))->query('SELECT load_extension(' . "'" . $argv[1] . "')")->fetch();
    echo "loaded\n";
} catch (PDOException $error) {
    echo $error->getMessage(), "\n";
}
