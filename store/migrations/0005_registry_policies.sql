-- Resource-based policies, laid out as they are shown. In a principal's place stands its unique id (AIDA..., AROA...).
CREATE TABLE repository_policies (
    repository_id BIGINT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);
CREATE TABLE registry_policies (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (account, region)
);
CREATE TABLE account_settings (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, region, name)
) {clustered};
