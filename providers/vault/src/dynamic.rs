//! `vault-dynamic:MOUNT/creds/ROLE`: credentials that a secrets engine issues under a lease. They
//! are issued when asked for, never by a read or a list.

use std::time::Duration;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Lease, Leased, Leasing, Limits,
    Lookup, Meta, Name, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue,
    Select, Snapshot, Staging, StoreUri, Unit, Values, Version, Written, Zeroizing, async_trait,
};
use secrets_net::{Document, Sent};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::place::check_path;
use crate::requests::Raw;
use crate::session::Session;

/// Which credentials, and what they are called.
#[derive(Debug)]
pub(crate) struct Role {
    path: String,
    /// Field of what is issued, and the name it goes to.
    names: Vec<(String, Name)>,
}

impl Role {
    pub(crate) fn parse(uri: &StoreUri) -> Result<Self> {
        let wrong = |what: String| {
            Error::new(ErrorKind::InvalidConfig, what).with_hint(
                "write `vault-dynamic:database/creds/shop?DB_USER=username&DB_PASSWORD=password`",
            )
        };
        check_path(uri.location())?;
        if uri.location().split('/').count() < 2 {
            return Err(wrong(
                "there is a mount and no path of a role below it".into(),
            ));
        }
        let mut names = Vec::new();
        for (name, field) in uri.options().filter(|(key, _)| *key != "namespace") {
            let name =
                Name::new(name).map_err(|_| wrong(format!("`{name}` is no secret's name")))?;
            names.push((field.to_owned(), name));
        }
        if names.is_empty() {
            for (field, name) in [("username", "USERNAME"), ("password", "PASSWORD")] {
                names.push((field.to_owned(), Name::new(name).expect("a name")));
            }
        }
        Ok(Self {
            path: uri.location().to_owned(),
            names,
        })
    }
}

/// One role.
#[derive(Debug)]
pub(crate) struct Dynamic {
    location: String,
    role: Role,
    session: Session,
}

#[derive(Deserialize)]
struct Issued<'a> {
    lease_id: String,
    lease_duration: u64,
    renewable: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Issued<'_> {
    fn lease(&self) -> Lease {
        Lease {
            id: self.lease_id.clone(),
            lasts: Duration::from_secs(self.lease_duration),
            renewable: self.renewable,
        }
    }
}

impl Dynamic {
    pub(crate) fn new(location: String, role: Role, session: Session) -> Self {
        Self {
            location,
            role,
            session,
        }
    }

    fn at<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at_store(&self.location))
    }

    fn lacks<T>(&self, what: &str) -> Result<T> {
        self.at(Err(Error::unsupported(format!("the store {what}"))))
    }

    async fn issue_now(&self, cx: &Ctx) -> Result<Leased> {
        // What is issued lives on though its answer is lost: never sent again.
        let answer = self
            .session
            .succeed(cx, Raw::get(self.role.path.clone()), Sent::Write)
            .await?;
        let issued: Issued<'_> = answer.made()?;
        match self.named(&issued) {
            Ok(items) => Ok(Leased {
                lease: issued.lease(),
                items,
            }),
            Err(error) => {
                // Nobody would end what nobody was given.
                let _ = self.end(cx, &issued.lease_id).await;
                Err(error)
            }
        }
    }

    /// What was issued, under the names it goes to.
    fn named(&self, issued: &Issued<'_>) -> Result<Vec<(Name, SecretValue)>> {
        let fields = Document::parse(issued.data.map_or("null", RawValue::get).as_bytes())?;
        let mut items = Vec::new();
        for (field, name) in &self.role.names {
            let missing = || {
                Error::new(
                    ErrorKind::InvalidConfig,
                    format!("what was issued has no field `{field}`"),
                )
                .with_hint(format!(
                    "its fields: {}",
                    fields.fields().collect::<Vec<_>>().join(", ")
                ))
            };
            let key = Name::new(field).map_err(|_| missing())?;
            let value: SecretValue = fields.get(&key).ok_or_else(missing)??;
            items.push((name.clone(), value));
        }
        Ok(items)
    }

    async fn end(&self, cx: &Ctx, lease: &str) -> Result<()> {
        let body = serde_json::json!({ "lease_id": lease, "sync": true }).to_string();
        let request = Raw::post(
            "sys/leases/revoke".into(),
            Zeroizing::new(body.into_bytes()),
        );
        self.session
            .succeed(cx, request, Sent::Read)
            .await
            .map(drop)
    }
}

#[async_trait]
impl Leasing for Dynamic {
    async fn issue(&self, cx: &Ctx) -> Result<Leased> {
        self.at(self.issue_now(cx).await)
    }

    async fn renew(&self, cx: &Ctx, lease: &str, increment: Duration) -> Result<Lease> {
        let body =
            serde_json::json!({ "lease_id": lease, "increment": increment.as_secs() }).to_string();
        let request = Raw::post("sys/leases/renew".into(), Zeroizing::new(body.into_bytes()));
        let answer = self.at(self.session.succeed(cx, request, Sent::Read).await)?;
        let renewed: Issued<'_> = self.at(answer.json())?;
        Ok(renewed.lease())
    }

    async fn revoke(&self, cx: &Ctx, lease: &str) -> Result<()> {
        self.at(self.end(cx, lease).await)
    }
}

#[async_trait]
impl Provider for Dynamic {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            guard: Guard::None,
            values: Values::Utf8,
            writable: false,
            history: false,
            prune: false,
            restore: false,
            idempotent: false,
            cheap_poll: false,
            own_versions: false,
            limits: Limits {
                value_bytes: None,
                name_bytes: None,
                concurrency: 1,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        let needs = [("issue", self.role.path.clone(), "read")];
        self.at(crate::inspect::session(cx, &self.session, &needs).await)
    }

    /// The names that are issued: known without asking.
    async fn list(&self, _cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let names = self.role.names.iter();
        Ok(names
            .map(|(_, name)| (name.clone(), Meta::default()))
            .collect())
    }

    /// Nothing is there before it is issued.
    async fn read(&self, _cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let names = match what {
            Select::All => &[],
            Select::Names(names) => names,
        };
        let absent = |name: &Name| (name.clone(), Ok(Lookup::Absent));
        Ok(Snapshot {
            items: names.iter().map(absent).collect(),
            ..Snapshot::default()
        })
    }

    async fn write(
        &self,
        _cx: &Ctx,
        _base: Option<&Revision>,
        _changes: &[Change<'_>],
    ) -> Result<Written> {
        self.lacks("issues credentials and keeps none")
    }

    async fn history(&self, _cx: &Ctx, _name: &Name) -> Result<Vec<Meta>> {
        self.lacks("keeps no history")
    }

    async fn read_version(&self, _cx: &Ctx, _name: &Name, _version: &Version) -> Result<Lookup> {
        self.lacks("keeps no history")
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        self.lacks("keeps no history")
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        self.lacks("changes only by what it issues")
    }

    fn policy(&self) -> Option<String> {
        Some(crate::policy::dynamic(&self.role.path))
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        Some(self)
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}
