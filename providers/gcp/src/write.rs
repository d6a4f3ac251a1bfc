//! Changes. Each is sent once: what was lost is said to be unknown, and never sent again here.

use futures_util::future;
use google_cloud_gax::error::rpc::Code;
use google_cloud_secretmanager_v1::model::replication::user_managed::Replica;
use google_cloud_secretmanager_v1::model::replication::{Automatic, UserManaged};
use google_cloud_secretmanager_v1::model::secret_version::State;
use google_cloud_secretmanager_v1::model::{Replication as Policy, Secret, SecretVersion};
use google_cloud_wkt::FieldMask;
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Lookup, Name, Op, ProviderExt as _, Result, Revision,
    SecretValue, Version, Written,
};
use secrets_net::spread;

use crate::failure::{self, Failed, Method};
use crate::payload;
use crate::place::{Place, Replication, last_part};
use crate::session::{Session, ask};
use crate::store::{CONCURRENCY, MARK, Store, kept, number};

/// What the service answers to a change: it names what was changed.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Secret {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for SecretVersion {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Sends one change. An answer that names nothing is none of the service's, which does not say that
/// nothing was changed.
async fn make<T: Named>(
    cx: &Ctx,
    place: &Place,
    method: Method,
    request: impl Future<Output = google_cloud_gax::Result<T>>,
) -> Result<T, Failed> {
    let made = ask(cx, place, method, request).await?;
    if made.name().is_empty() {
        return Err(failure::unlike(method.sent)
            .at_store(&place.location)
            .into());
    }
    Ok(made)
}

/// How often a removal is made, where others add versions meanwhile.
const REMOVALS: usize = 4;

impl Store {
    pub(crate) async fn write_all(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        if changes.is_empty() {
            return Ok(Written {
                revision: None,
                items: Vec::new(),
            });
        }
        let session = self.session(cx).await?;
        let calls = changes.iter().map(|change| async {
            let done = self.carry_out(cx, &session, change).await;
            done.map_err(|failed| failed.error.about(change.name))
        });
        Ok(Written {
            revision: None,
            items: spread(CONCURRENCY, calls).await,
        })
    }

    /// "Secret Payload cannot be empty", says the service; nothing else may stand for it unsaid.
    pub(crate) fn check_not_empty(&self, name: &Name, value: &SecretValue) -> Result<()> {
        if !value.is_empty() {
            return Ok(());
        }
        let message = format!("{name} is empty, and Google Secret Manager holds no empty value");
        Err(self
            .about(name, Error::unsupported(message))
            .with_hint(format!(
                "give it a default in secrets.toml instead: `[secrets.{name}]`, `default = \"\"`"
            )))
    }

    async fn carry_out(
        &self,
        cx: &Ctx,
        session: &Session,
        change: &Change<'_>,
    ) -> Result<Option<Version>, Failed> {
        match change.op {
            Op::Put(value) => self.put(cx, session, change.name, value).await.map(Some),
            Op::Delete => self.remove(cx, session, change.name).await.map(|()| None),
            Op::Restore => self.restore(cx, session, change.name).await.map(Some),
        }
    }

    /// Adds a version; where there is no secret yet, creates it first: unasked where a list did not show
    /// it. That it has come to be meanwhile is as good.
    async fn put(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        value: &SecretValue,
    ) -> Result<Version, Failed> {
        if !self.known.is_new(name) {
            match self.add(cx, session, name, value).await {
                // It was refused for certain: adding once more is no second sending.
                Err(failed) if failed.is(Code::NotFound) => {}
                added => return added.map(|version| named(&version)),
            }
        }
        match self.create(cx, session, name).await {
            Err(failed) if !failed.is(Code::AlreadyExists) => return Err(failed),
            _ => {}
        }
        match self.add(cx, session, name, value).await {
            Err(failed) if failed.is(Code::NotFound) => {
                Err(self.here(Error::conflict(name)).into())
            }
            added => added.map(|version| named(&version)),
        }
    }

    async fn add(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        value: &SecretValue,
    ) -> Result<SecretVersion, Failed> {
        let request = session
            .client
            .add_secret_version()
            .set_parent(self.place.secret(name))
            .set_payload(payload::sealed(value));
        let added = match make(cx, &self.place, failure::ADD, request.send()).await {
            Err(failed) if failed.is(Code::InvalidArgument) => return Err(self.altered(failed)),
            added => added?,
        };
        self.known.made(name, number(&added.name));
        if !added.client_specified_payload_checksum {
            // It is there, and nobody has checked that it is what we sent: reading back will.
            let message = format!(
                "version {} was stored without its checksum being looked at",
                last_part(&added.name)
            );
            return Err(self
                .here(Error::new(ErrorKind::OutcomeUnknown, message))
                .into());
        }
        Ok(added)
    }

    /// A payload whose size we have checked is refused as malformed where its checksum is wrong.
    fn altered(&self, failed: Failed) -> Failed {
        let message = "Google refused the value as malformed (INVALID_ARGUMENT): it was altered on \
                       the way, and nothing was stored";
        let error = Error::new(ErrorKind::InvalidData, message)
            .with_hint("try again; if it stays so, what is between here and Google alters data");
        Failed {
            error: self.here(error),
            ..failed
        }
    }

    async fn create(&self, cx: &Ctx, session: &Session, name: &Name) -> Result<Secret, Failed> {
        let labels = self.place.labels.iter().cloned();
        let secret = Secret::new().set_labels(labels);
        let secret = match &self.place.replication {
            Replication::Regional => secret,
            Replication::Automatic => {
                secret.set_replication(Policy::new().set_automatic(Automatic::new()))
            }
            Replication::In(locations) => {
                let replicas = locations
                    .iter()
                    .map(|location| Replica::new().set_location(location));
                let managed = UserManaged::new().set_replicas(replicas);
                secret.set_replication(Policy::new().set_user_managed(managed))
            }
        };
        let request = session
            .client
            .create_secret()
            .set_parent(&self.place.parent)
            .set_secret_id(self.place.id(name))
            .set_secret(secret);
        make(cx, &self.place, failure::CREATE, request.send()).await
    }

    /// Takes the value away and keeps it in the history: one more version with it, disabled. Where
    /// anything fails before the last step, the value is still there.
    ///
    /// Nothing guards it. A version that another adds meanwhile (or that `latest` does not show yet) lies
    /// between the value and its copy, which is an old value over a new one: the copy is disabled all the
    /// same, and the removal made once more with the new value, for that is what a restore is to bring back.
    async fn remove(&self, cx: &Ctx, session: &Session, name: &Name) -> Result<(), Failed> {
        let present = self.present(cx, session, name);
        let (present, secret) = future::join(present, self.secret(cx, session, name)).await;
        let Lookup::Found(present) = present? else {
            return Ok(());
        };
        let Some(secret) = secret? else {
            return Ok(());
        };
        self.mark(cx, session, name, secret).await?;
        let version = present.meta.version.as_ref();
        let mut newest = version.map_or(0, |version| number(version.as_str()));
        let mut value = present.value;
        for _ in 0..REMOVALS {
            let copy = self.add(cx, session, name, &value).await?;
            let copied = number(&copy.name);
            self.disable(cx, session, name, copy).await?;
            let before = copied.saturating_sub(1);
            if before <= newest {
                return Ok(());
            }
            match self.look(cx, session, name, &before.to_string()).await? {
                Lookup::Found(between) => (value, newest) = (between.value, copied),
                // Another's removal.
                Lookup::Deleted { .. } | Lookup::Absent => return Ok(()),
            }
        }
        let message = format!(
            "{name} is removed, but others kept changing it meanwhile: a restore brings back an older value \
             than the last"
        );
        let error = Error::new(ErrorKind::Conflict, message).with_hint(format!(
            "look at its versions with `secrets history {name}`"
        ));
        Err(self.here(error).into())
    }

    /// Disables the copy that a removal has added. Where that fails, the copy is the present value.
    async fn disable(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        copy: SecretVersion,
    ) -> Result<(), Failed> {
        let number = last_part(&copy.name);
        let request = session
            .client
            .disable_secret_version()
            .set_name(self.place.version(name, number))
            .set_etag(copy.etag);
        let disabled = self.turned(cx, name, failure::DISABLE, request.send());
        let Err(failed) = disabled.await else {
            return Ok(());
        };
        let message = format!(
            "{}; version {number}, which the removal added with the value it had read, stays live until it \
             is disabled",
            failed.error.message()
        );
        let (id, project) = (self.place.id(name), &self.place.project);
        let mut hint =
            format!("gcloud secrets versions disable {number} --secret={id} --project={project}");
        if let Some(region) = &self.place.region {
            hint.push_str(&format!(" --location={region}"));
        }
        if let Some(first) = failed.error.hint() {
            hint = format!("{first}; then `{hint}`");
        }
        let mut error = self.here(Error::new(failed.error.kind(), message).with_hint(hint));
        if let Some(wait) = failed.error.retry_after() {
            error = error.with_retry_after(wait);
        }
        Err(Failed { error, ..failed })
    }

    async fn secret(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
    ) -> Result<Option<Secret>, Failed> {
        if self.place.is_too_long(name) {
            return Ok(None);
        }
        let request = session.client.get_secret();
        let request = request.set_name(self.place.secret(name));
        match ask(cx, &self.place, failure::GET, request.send()).await {
            Ok(secret) => Ok(Some(secret)),
            Err(failed) if failed.is(Code::NotFound) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// Says on the secret that a list is to look whether it is removed. Annotations are there "to allow
    /// client tools to store their own state information"; those of others stay, by the secret's etag.
    /// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets#Secret>
    async fn mark(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        secret: Secret,
    ) -> Result<(), Failed> {
        if secret.annotations.contains_key(MARK) {
            return Ok(());
        }
        let mut annotations = secret.annotations;
        annotations.insert(MARK.to_owned(), "true".to_owned());
        // The service tells names by the project's number; ours is as good, and known to fit.
        let changed = Secret::new()
            .set_name(self.place.secret(name))
            .set_annotations(annotations)
            .set_etag(secret.etag);
        let request = session
            .client
            .update_secret()
            .set_secret(changed)
            .set_update_mask(FieldMask::default().set_paths(["annotations"]));
        self.turned(cx, name, failure::UPDATE, request.send())
            .await?;
        Ok(())
    }

    /// Enables the version whose being disabled is the removal.
    async fn restore(&self, cx: &Ctx, session: &Session, name: &Name) -> Result<Version, Failed> {
        let nothing = |why: &str| {
            let message = format!("{name} {why}: there is nothing to restore");
            Failed::from(self.here(Error::new(ErrorKind::Conflict, message)))
        };
        let newest = self.newest_version(cx, session, name).await?;
        let newest = newest.ok_or_else(|| nothing("was never there"))?;
        match newest.state {
            State::Enabled => return Err(nothing("is not removed")),
            State::Destroyed => {
                let mut failed = nothing("was destroyed");
                let hint = format!("an older value may be left: `secrets history {name}`");
                failed.error = failed.error.with_hint(hint);
                return Err(failed);
            }
            _ => {}
        }
        let number = last_part(&newest.name).to_owned();
        let request = session
            .client
            .enable_secret_version()
            .set_name(self.place.version(name, &number))
            .set_etag(newest.etag);
        let enabled = self.turned(cx, name, failure::ENABLE, request.send());
        Ok(named(&enabled.await?))
    }

    /// A change that an etag guards.
    async fn turned<T: Named>(
        &self,
        cx: &Ctx,
        name: &Name,
        method: Method,
        request: impl Future<Output = google_cloud_gax::Result<T>>,
    ) -> Result<T, Failed> {
        make(cx, &self.place, method, request)
            .await
            .map_err(|failed| match failed.is_stale() {
                true => Failed {
                    error: self.here(Error::conflict(name)),
                    ..failed
                },
                false => failed,
            })
    }

    /// Destroys all versions but the newest `keep`. Each by its etag: one that somebody has enabled or
    /// disabled meanwhile is somebody's business.
    pub(crate) async fn forget(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        let session = self.session(cx).await?;
        let told = |failed: Failed| failed.error.about(name);
        let versions = self.versions(cx, &session, name).await.map_err(told)?;
        let calls = kept(&versions).skip(keep.max(1)).map(|version| {
            let request = session
                .client
                .destroy_secret_version()
                .set_name(self.place.version(name, last_part(&version.name)))
                .set_etag(&version.etag);
            self.turned(cx, name, failure::DESTROY, request.send())
        });
        let mut gone = 0;
        let mut first = None;
        for destroyed in spread(CONCURRENCY, calls).await {
            match destroyed {
                Ok(_) => gone += 1,
                Err(failed) => first = first.or(Some(failed)),
            }
        }
        // Done again it goes on where it ended.
        first.map_or(Ok(gone), |failed| Err(told(failed)))
    }
}

/// A version's number: its name to us.
fn named(version: &SecretVersion) -> Version {
    Version::new(last_part(&version.name))
}
