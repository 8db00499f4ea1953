-- Classes, keys of programs, second factors and the sessions of the pages.

CREATE TABLE classes (
    id         INTEGER PRIMARY KEY,
    name_index BLOB NOT NULL UNIQUE,
    sealed     BLOB NOT NULL
) STRICT;

-- The key itself is nowhere: key_index is a MAC of it, and owner_index one of its owner's name.
CREATE TABLE api_keys (
    id          INTEGER PRIMARY KEY,
    key_index   BLOB NOT NULL UNIQUE,
    owner_index BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;

CREATE TABLE second_factors (
    user_index BLOB PRIMARY KEY,
    sealed     BLOB NOT NULL
) STRICT;

INSERT INTO counters (name, value) VALUES ('last_class', 0), ('last_api_key', 0);
