//! Every environment variable the program reads, declared once. `secrets man` and
//! `docs/environment.md` are generated from [`TABLE`].

/// Names the environment, as `-e` does.
pub const ENV: &str = "SECRETS_ENV";
/// The age identity itself.
pub const IDENTITY: &str = "SECRETS_IDENTITY";
/// A file that holds the age identity, or an OpenSSH ed25519 key.
pub const IDENTITY_FILE: &str = "SECRETS_IDENTITY_FILE";
/// The digest `secrets trust` prints: what a CI job trusts.
pub const TRUST: &str = "SECRETS_TRUST";
/// No colour if set and not empty (no-color.org).
pub const NO_COLOR: &str = "NO_COLOR";
/// Colour also without a terminal (bixense.com/clicolors).
pub const CLICOLOR_FORCE: &str = "CLICOLOR_FORCE";
/// The editor of `secrets edit`, first choice.
pub const VISUAL: &str = "VISUAL";
/// The editor of `secrets edit`, second choice.
pub const EDITOR: &str = "EDITOR";
/// The home folder.
pub const HOME: &str = "HOME";
/// Where configuration lives (XDG Base Directory Specification).
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where state lives (the same).
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// A private folder in memory (the same).
pub const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Where commands are searched.
pub const PATH: &str = "PATH";
/// The terminal's kind; `dumb` has no colour.
pub const TERM: &str = "TERM";

/// The address of the Vault or OpenBao server.
pub const VAULT_ADDR: &str = "VAULT_ADDR";
/// The token for it.
pub const VAULT_TOKEN: &str = "VAULT_TOKEN";
/// Its namespace.
pub const VAULT_NAMESPACE: &str = "VAULT_NAMESPACE";
/// The authority that signed its certificate.
pub const VAULT_CACERT: &str = "VAULT_CACERT";
/// A certificate to log in by.
pub const VAULT_CLIENT_CERT: &str = "VAULT_CLIENT_CERT";
/// Its key.
pub const VAULT_CLIENT_KEY: &str = "VAULT_CLIENT_KEY";
/// Where the servers' command line keeps its configuration.
pub const VAULT_CONFIG_PATH: &str = "VAULT_CONFIG_PATH";
/// Refused: secrets go over no connection that is not verified.
pub const VAULT_SKIP_VERIFY: &str = "VAULT_SKIP_VERIFY";
/// The authorities that are trusted instead of the system's.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// The region of AWS stores.
pub const AWS_REGION: &str = "AWS_REGION";
/// The profile of the AWS configuration.
pub const AWS_PROFILE: &str = "AWS_PROFILE";
/// A key of AWS.
pub const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Where AWS Secrets Manager is.
pub const AWS_ENDPOINT_URL_SECRETS_MANAGER: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
/// The tenant of an Azure login.
pub const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
/// Where Azure logins are made.
pub const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// Where an App Service gives tokens.
pub const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
/// A Google key file.
pub const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Where GitHub gives a job's token.
pub const ACTIONS_ID_TOKEN_REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";

/// The user's name, where a login puts it.
pub const USER: &str = "USER";
/// The same, on other systems.
pub const LOGNAME: &str = "LOGNAME";

/// Name and meaning of each, for the documentation.
pub const TABLE: &[(&str, &str)] = &[
    (ENV, "the environment, where `-e` is not given"),
    (IDENTITY, "the age identity that opens the local store"),
    (
        IDENTITY_FILE,
        "a file with that identity, or with an OpenSSH ed25519 key",
    ),
    (
        TRUST,
        "the digest printed by `secrets trust`: trusts exactly that manifest, for CI",
    ),
    (NO_COLOR, "no colour"),
    (CLICOLOR_FORCE, "colour also without a terminal"),
    (VISUAL, "the editor of `secrets edit`"),
    (
        EDITOR,
        "the editor of `secrets edit`, where VISUAL is not set",
    ),
    (HOME, "the home folder"),
    (
        XDG_CONFIG_HOME,
        "where the identity file is kept, in `secrets/`; default `~/.config`",
    ),
    (
        XDG_STATE_HOME,
        "where trust and pins are kept, in `secrets/`; default `~/.local/state`",
    ),
    (
        USER,
        "your name in the team, where `init --name` does not say another; else LOGNAME",
    ),
    (
        XDG_RUNTIME_DIR,
        "where `secrets edit` puts its file, in memory; else `/dev/shm`",
    ),
    (
        VAULT_ADDR,
        "the Vault or OpenBao server, where the manifest names no addresses; BAO_ADDR comes first, as with all of these",
    ),
    (
        VAULT_TOKEN,
        "the token for it; else that of the token helper, or of `~/.vault-token`. Does not reach the command of `exec`",
    ),
    (
        VAULT_NAMESPACE,
        "its namespace, where the store's address names none",
    ),
    (
        VAULT_CACERT,
        "a PEM file: the authority that signed its certificate",
    ),
    (
        VAULT_CLIENT_CERT,
        "a PEM file: the certificate of a login by `cert`, with VAULT_CLIENT_KEY",
    ),
    (VAULT_CLIENT_KEY, "a PEM file: that certificate's key"),
    (
        VAULT_CONFIG_PATH,
        "the server's own command line's configuration, where a token helper is named; default `~/.vault`",
    ),
    (
        VAULT_SKIP_VERIFY,
        "refused if it is on: no secret goes over a connection that is not verified",
    ),
    (
        SSL_CERT_FILE,
        "a PEM file: the authorities that are trusted in place of the system's",
    ),
    (
        AWS_REGION,
        "the region of AWS stores that name none; else AWS_DEFAULT_REGION, or the profile's",
    ),
    (
        AWS_PROFILE,
        "the profile in `~/.aws`; all that the AWS command line finds credentials by is read too",
    ),
    (
        AWS_ACCESS_KEY_ID,
        "a key, with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    ),
    (
        AWS_ENDPOINT_URL_SECRETS_MANAGER,
        "where AWS Secrets Manager is, if not at AWS; else AWS_ENDPOINT_URL",
    ),
    (
        AZURE_TENANT_ID,
        "the tenant of an Azure login, with AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE",
    ),
    (
        AZURE_AUTHORITY_HOST,
        "where Azure logins are made, if not in the public cloud",
    ),
    (
        IDENTITY_ENDPOINT,
        "where an Azure App Service gives tokens, with IDENTITY_HEADER",
    ),
    (
        GOOGLE_APPLICATION_CREDENTIALS,
        "a file with Google credentials; else those of `gcloud` (CLOUDSDK_CONFIG), else the machine's (GCE_METADATA_HOST)",
    ),
    (
        ACTIONS_ID_TOKEN_REQUEST_URL,
        "where GitHub gives a job's token for a login by `jwt = \"github\"`, with ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    ),
];
