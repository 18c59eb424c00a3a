CREATE TABLE api_token (
    id BIGSERIAL NOT NULL,
    name VARCHAR(64) NOT NULL,
    token_digest VARCHAR(64) NOT NULL,
    role VARCHAR(16) NOT NULL,
    sees_films BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by VARCHAR(128) NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_token PRIMARY KEY (id),
    CONSTRAINT uq_api_token_name UNIQUE (name),
    CONSTRAINT uq_api_token_token_digest UNIQUE (token_digest)
);
