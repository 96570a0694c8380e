-- Frozen. Files from before versions were noted have these tables already.
CREATE TABLE IF NOT EXISTS event (
    sequence INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    service TEXT,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    asked_by TEXT,
    details TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_of_service ON event (service, sequence);
CREATE INDEX IF NOT EXISTS event_at_time ON event (time_ms);
