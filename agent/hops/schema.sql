-- The journal of hopline, format 1 (docs/log-format.md). JSON columns hold the fields of the
-- records in agent/hops/records.py by their names.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE conversations (id TEXT PRIMARY KEY, created_at TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations (id),
    position INTEGER NOT NULL,
    request TEXT NOT NULL,
    attachments TEXT NOT NULL,
    profile TEXT NOT NULL,
    plan TEXT,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    answer TEXT NOT NULL,
    outputs TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    options TEXT NOT NULL,
    owner TEXT NOT NULL,
    UNIQUE (conversation, position)
) WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (created_at);

CREATE TABLE identities (digest TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE hops (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    item INTEGER NOT NULL,
    parent INTEGER,
    tool TEXT NOT NULL,
    backend TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT NOT NULL,
    parameters TEXT NOT NULL,
    seed INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    identity TEXT NOT NULL REFERENCES identities (digest),
    remote INTEGER NOT NULL,
    status TEXT NOT NULL,
    cached_from INTEGER,
    started_at TEXT NOT NULL,
    duration_ms REAL,
    load_ms REAL,
    details TEXT NOT NULL,
    mechanical_losses TEXT NOT NULL,
    error TEXT,
    cache_key TEXT NOT NULL
);
CREATE INDEX hops_by_run ON hops (run);
CREATE INDEX hops_by_cache_key ON hops (cache_key) WHERE status = 'ok' AND cached_from IS NULL AND cache_key != '';

CREATE TABLE probes (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    node TEXT NOT NULL,
    hop INTEGER,
    reader TEXT NOT NULL,
    identity TEXT NOT NULL REFERENCES identities (digest),
    reading TEXT,
    details TEXT NOT NULL,
    error TEXT,
    started_at TEXT NOT NULL,
    duration_ms REAL
);
CREATE INDEX probes_by_run ON probes (run);

CREATE TABLE model_calls (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    hop INTEGER,
    purpose TEXT NOT NULL,
    identity TEXT NOT NULL REFERENCES identities (digest),
    messages TEXT,
    reply TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    started_at TEXT NOT NULL,
    duration_ms REAL,
    finish_reason TEXT NOT NULL,
    repair INTEGER NOT NULL,
    error TEXT
);
CREATE INDEX model_calls_by_run ON model_calls (run);

-- Which run refers to which artifact: an artifact lives while a run refers to it.
CREATE TABLE uses (
    artifact TEXT NOT NULL,
    media_type TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (artifact, media_type, run)
) WITHOUT ROWID;
CREATE INDEX uses_by_run ON uses (run);
