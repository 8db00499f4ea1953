-- The first schema. A column named sealed, wrapped or value holds a sealed value (src/store/seal.rs); a column named
-- index holds a blind index. What stands in clear are numbers that tell nothing about people or traffic.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers that only grow: the generation of the policy, the one that the broker goes by, and the last number given to a user, role or rule.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
    id      INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT;

CREATE TABLE roles (
    id         INTEGER PRIMARY KEY,
    name_index BLOB NOT NULL UNIQUE,
    sealed     BLOB NOT NULL
) STRICT;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    name_index BLOB NOT NULL UNIQUE,
    sealed     BLOB NOT NULL
) STRICT;

CREATE TABLE rules (
    id            INTEGER PRIMARY KEY,
    subject_index BLOB NOT NULL,
    sealed        BLOB NOT NULL
) STRICT;

CREATE INDEX rules_by_subject ON rules (subject_index);

-- One row per batch of events; chain is a MAC over the row and the chain of the row before it.
CREATE TABLE events (
    seq    INTEGER PRIMARY KEY,
    count  INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    chain  BLOB NOT NULL
) STRICT;

CREATE TABLE retained (
    topic_index BLOB PRIMARY KEY,
    version     BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;
