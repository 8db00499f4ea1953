-- Sessions and what is under way: acknowledged means that it stands here.

-- One row for each frame of a shard, in the order in which they were stored. It lasts until checkpoints cover it.
CREATE TABLE journal (
    seq    INTEGER PRIMARY KEY,
    run    INTEGER NOT NULL,
    shard  INTEGER NOT NULL,
    frame  INTEGER NOT NULL,
    sealed BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX journal_by_frame ON journal (run, shard, frame);

-- A session as it was at the end of a frame.
CREATE TABLE sessions (
    id     INTEGER PRIMARY KEY,
    run    INTEGER NOT NULL,
    frame  INTEGER NOT NULL,
    sealed BLOB    NOT NULL
) STRICT;

-- Parts of the queues of sessions that are not in memory; each with its rowid, because the rows are large.
CREATE TABLE queues (
    session INTEGER NOT NULL,
    chunk   INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX queues_by_chunk ON queues (session, chunk);

INSERT INTO counters (name, value) VALUES ('run', 0);
