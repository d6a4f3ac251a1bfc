//! The trait every kind of store implements, and the conveniences built on it.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Lease, Leased, Lookup, Meta, Name, Op,
    Poll, Precondition, Report, Result, Revision, SecretValue, Select, Snapshot, Version, Written,
};

/// One configured place that holds secrets.
///
/// Batches, because stores bill, throttle and add a round trip per call. An outer error is the
/// whole call, an inner one the item. `read` and `list` have no side effect on the store: they
/// never mint a credential. There are no default methods: a wrapper cannot forget one.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// The store's canonical URI for messages, such as `dotenv:.env`. Holds no credential.
    fn location(&self) -> &str;

    /// What the store can do. Data: asking probes nothing.
    fn capabilities(&self) -> Capabilities;

    /// Whether the store could hold this value under this name, as far as can be told without asking
    /// it: its limits, what its format can express. A sync asks this of every value before it writes the
    /// first. Where that is all in the capabilities it is [`ProviderExt::check_admits`].
    ///
    /// # Errors
    /// `Unsupported`, naming the rule and never the value.
    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()>;

    /// Reachable? Who are we, what may we do? For `doctor` and preflights.
    async fn inspect(&self, cx: &Ctx) -> Result<Report>;

    /// All names, with what is known of them; never fetches a value.
    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>>;

    /// The values asked for, in one batch.
    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot>;

    /// Makes the changes. In a store whose unit is a document the batch has one fate, guarded by
    /// `base` where one is given: if the document is in another state, nothing is changed and the
    /// outer error is `Conflict`; a failed precondition of one change fails the batch with an
    /// outer `Conflict` about that name. Else each change has its own answer, and a `base` is
    /// refused as `Unsupported`.
    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written>;

    /// The states of one secret, newest first, the present one included. Empty for a name that
    /// never was. `Unsupported` where the store keeps none.
    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>>;

    /// The value of one state. `Unsupported` where the store keeps none.
    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup>;

    /// Forgets all states of one secret but the newest `keep`, at least the present one; says how many
    /// went. `Unsupported` where `prune` is not declared.
    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize>;

    /// Has anything changed since `since`? `Unsupported` where `cheap_poll` is not declared.
    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll>;

    /// The least policy under which all of this works, in the store's own language: Vault HCL, AWS
    /// IAM JSON, role assignments. `None` where the operating system's permissions are all there is.
    fn policy(&self) -> Option<String>;

    /// Dynamic credentials: issue, renew, revoke. `None` for all others.
    fn leasing(&self) -> Option<&dyn Leasing>;

    /// Stage and promote, where the store has stages of its own.
    fn staging(&self) -> Option<&dyn Staging>;
}

/// Stores that issue credentials with an end: `read` and `list` never issue one.
#[async_trait]
pub trait Leasing: Send + Sync {
    /// Issues a new set of credentials.
    async fn issue(&self, cx: &Ctx) -> Result<Leased>;

    /// Asks for `lease` to last `increment` longer from now; the store may grant less. Says until
    /// when it lasts now.
    async fn renew(&self, cx: &Ctx, lease: &str, increment: Duration) -> Result<Lease>;

    /// Ends what was issued under `lease`. Ending what has ended is no error.
    async fn revoke(&self, cx: &Ctx, lease: &str) -> Result<()>;
}

/// Stores that can hold a pending version beside the current one. No provider of this version
/// has it.
#[async_trait]
pub trait Staging: Send + Sync {
    /// Makes the pending `version` the current one.
    async fn promote(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<()>;
}

/// Conveniences for callers; implementors write none of them.
#[async_trait]
pub trait ProviderExt: Provider {
    /// One secret.
    async fn read_one(&self, cx: &Ctx, name: &Name) -> Result<Lookup> {
        let names = [name.clone()];
        let mut snapshot = self.read(cx, Select::Names(&names)).await?;
        match snapshot.items.pop() {
            Some((found, lookup)) if found == *name && snapshot.items.is_empty() => lookup,
            _ => Err(Error::new(
                ErrorKind::Unexpected,
                format!("the store did not answer for {name}"),
            )
            .at_store(self.location())),
        }
    }

    /// One change; the inner and the outer answer are one.
    async fn write_one(&self, cx: &Ctx, change: Change<'_>) -> Result<Option<Version>> {
        let written = self.write(cx, None, &[change]).await?;
        written.items.into_iter().next().unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Unexpected,
                "the store did not answer for the change",
            )
            .at_store(self.location()))
        })
    }

    /// Refuses, before any I/O, a batch the store cannot hold or guard. Every implementor calls
    /// this first, so that the refusals read alike, and that a write takes what [`Provider::admit`] does.
    ///
    /// # Errors
    /// `Unsupported` for a store that is not writable, a value it does not admit, a name it cannot hold, a
    /// guard it does not have, a restore it cannot do, or a base without documents; `InvalidConfig` for a
    /// name that is given twice.
    fn check(&self, base: Option<&Revision>, changes: &[Change<'_>]) -> Result<()> {
        use crate::{Guard, Unit};
        let can = self.capabilities();
        let refuse = |message: String| Err(Error::unsupported(message).at_store(self.location()));
        self.check_writable()?;
        if base.is_some() && can.unit != Unit::Document {
            return refuse("the store has no revision of the whole to hold on to".into());
        }
        let mut seen = std::collections::HashSet::with_capacity(changes.len());
        for Change { name, op, when } in changes {
            if !seen.insert(*name) {
                let message = format!("{name} is changed twice in one batch");
                return Err(Error::new(ErrorKind::InvalidConfig, message)
                    .at_store(self.location())
                    .about(name));
            }
            if matches!(op, Op::Restore) && !can.restore {
                return refuse(format!(
                    "{name} cannot be restored: the store keeps no deleted values"
                ));
            }
            match op {
                Op::Put(value) => self.admit(name, value)?,
                Op::Delete | Op::Restore => self.check_name(name)?,
            }
            let guarded = match when {
                Precondition::Unguarded => true,
                Precondition::Absent => can.guard >= Guard::CreateOnly,
                Precondition::Version(_) => can.guard >= Guard::Cooperative,
            };
            if !guarded {
                return refuse(format!("the store cannot guard the write of {name}"));
            }
        }
        Ok(())
    }

    /// The whole of [`Provider::admit`] for a store whose capabilities tell all that it can hold.
    ///
    /// # Errors
    /// `Unsupported` for a store that is not writable, and for a value, name or size it cannot hold.
    fn check_admits(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_writable()?;
        self.check_name(name)?;
        self.check_value(name, value)
    }

    /// Refuses a store that takes no changes.
    ///
    /// # Errors
    /// `Unsupported`.
    fn check_writable(&self) -> Result<()> {
        match self.capabilities().writable {
            true => Ok(()),
            false => Err(Error::unsupported("the store is read-only").at_store(self.location())),
        }
    }

    /// Refuses a name that is longer than the store holds.
    ///
    /// # Errors
    /// `Unsupported`.
    fn check_name(&self, name: &Name) -> Result<()> {
        let length = name.as_str().len();
        match self.capabilities().limits.name_bytes {
            Some(most) if length > most => {
                let message = format!(
                    "{name} has {length} characters and the store holds names of at most {most}"
                );
                Err(Error::unsupported(message)
                    .at_store(self.location())
                    .about(name))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a value the store cannot hold, naming the rule and never the value.
    ///
    /// # Errors
    /// `Unsupported`.
    fn check_value(&self, name: &Name, value: &SecretValue) -> Result<()> {
        let can = self.capabilities();
        let refuse = |message: String| {
            Err(Error::unsupported(message)
                .at_store(self.location())
                .about(name))
        };
        if let Some(most) = can.limits.value_bytes.filter(|most| value.len() > *most) {
            return refuse(format!(
                "{name} has {} bytes and the store holds at most {most}",
                value.len()
            ));
        }
        if !can.values.holds(value.expose()) {
            return refuse(format!(
                "{name} cannot be held: the store holds {}",
                can.values.describe()
            ));
        }
        Ok(())
    }
}

impl<P: Provider + ?Sized> ProviderExt for P {}
