CREATE TABLE web_user (
    id BIGSERIAL NOT NULL,
    name VARCHAR(64) NOT NULL,
    password_hash TEXT NOT NULL,
    role VARCHAR(16) NOT NULL,
    sees_films BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by VARCHAR(128) NOT NULL,
    password_changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    locked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_web_user PRIMARY KEY (id),
    CONSTRAINT uq_web_user_name UNIQUE (name)
);

CREATE TABLE web_session (
    id BIGSERIAL NOT NULL,
    user_name VARCHAR(128) NOT NULL,
    token_digest VARCHAR(64) NOT NULL,
    address VARCHAR(64) NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_web_session PRIMARY KEY (id),
    CONSTRAINT uq_web_session_token_digest UNIQUE (token_digest)
);

CREATE INDEX ix_web_session_user_name ON web_session (user_name);

CREATE INDEX ix_web_session_expires_at ON web_session (expires_at);
