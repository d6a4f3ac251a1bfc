//! Lesser stores than a memory store is.

use secrets_api::{
    Change, Ctx, Lookup, Provider, Result, Revision, Select, Snapshot, Written, async_trait,
};
use secrets_testkit::bend::Bend;

/// A store that tells no versions.
pub(crate) struct Nameless;

#[async_trait]
impl Bend for Nameless {
    fn label(&self) -> &'static str {
        "Nameless"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut snapshot = inner.read(cx, what).await?;
        for (_, lookup) in &mut snapshot.items {
            match lookup {
                Ok(Lookup::Found(stored)) => stored.meta.version = None,
                Ok(Lookup::Deleted { version, .. }) => *version = None,
                _ => {}
            }
        }
        Ok(snapshot)
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let mut written = inner.write(cx, base, changes).await?;
        for version in written.items.iter_mut().flatten() {
            *version = None;
        }
        Ok(written)
    }
}

/// A document that is not there when it holds nothing.
pub(crate) struct AsFile;

#[async_trait]
impl Bend for AsFile {
    fn label(&self) -> &'static str {
        "AsFile"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let all = inner.read(cx, Select::All).await?;
        let mut snapshot = inner.read(cx, what).await?;
        snapshot.missing = all.items.is_empty();
        Ok(snapshot)
    }
}
