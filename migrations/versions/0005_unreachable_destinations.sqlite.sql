CREATE TABLE destination_trouble (
    id INTEGER NOT NULL,
    destination VARCHAR(64) NOT NULL,
    detail TEXT NOT NULL,
    since DATETIME NOT NULL,
    failed_at DATETIME NOT NULL,
    CONSTRAINT pk_destination_trouble PRIMARY KEY (id),
    CONSTRAINT uq_destination_trouble_destination UNIQUE (destination)
);

CREATE VIEW v1_unreachable_destinations AS
SELECT destination, since AS unreachable_since, failed_at AS last_failed_at, detail
FROM destination_trouble
WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.destination = destination_trouble.destination AND d.delivered_at > destination_trouble.failed_at);
