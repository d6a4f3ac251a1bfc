//! Credentials that a store issues for a time: asked for by `exec` alone, just before the command starts,
//! and ended at once where it does not.
//!
//! They outlive us: whoever takes our place uses them until their time is over.

use secrets_api::{Ctx, Error, ErrorKind, Lease, Leasing, Name, SecretValue};

use crate::choice::Chosen;
use crate::exit::Result;
use crate::session::Session;
use crate::stack::{Layer, Stack};

/// What one layer issued.
#[derive(Debug)]
pub struct Issued {
    /// The index of the layer.
    pub layer: usize,
    lease: Lease,
    /// What was issued, by name.
    pub items: Vec<(Name, SecretValue)>,
}

/// The layers that issue some of the wanted names, and those names. Asks no server.
///
/// # Errors
/// What a store answers.
pub fn wanted(
    session: &Session,
    stack: &Stack,
    chosen: &Chosen,
) -> Result<Vec<(usize, Vec<Name>)>> {
    let mut wanted = Vec::new();
    for (index, layer) in stack.layers.iter().enumerate() {
        if layer.provider.leasing().is_none() {
            continue;
        }
        let listed = session.block_on(layer.provider.list(&session.cx()))?;
        let names = listed.into_iter().map(|(name, _)| name);
        let names: Vec<Name> = names.filter(|name| chosen.holds(name)).collect();
        if !names.is_empty() {
            wanted.push((index, names));
        }
    }
    Ok(wanted)
}

/// Asks these layers for their credentials.
///
/// # Errors
/// What the store answers; what others have issued by then is ended.
pub fn issue(
    session: &Session,
    stack: &Stack,
    layers: impl Iterator<Item = usize>,
) -> Result<Vec<Issued>> {
    let mut issued = Vec::new();
    for index in layers {
        let layer = &stack.layers[index];
        let Some(leasing) = layer.provider.leasing() else {
            continue;
        };
        let _spinner = session.printer.spinner("issuing credentials");
        match session.block_on(in_time(layer, leasing)) {
            Ok(leased) => {
                session.printer.detail(1, || {
                    let lasts = leased.lease.lasts.as_secs();
                    format!(
                        "{}: issued under lease {}, for {lasts} s",
                        layer.label, leased.lease.id
                    )
                });
                issued.push(Issued {
                    layer: index,
                    lease: leased.lease,
                    items: leased.items,
                });
            }
            Err(error) => {
                end(session, stack, &issued);
                return Err(error.at_store(&layer.label).into());
            }
        }
    }
    Ok(issued)
}

/// Issues once: what was issued and is not heard of lives on, so it is never asked for again.
async fn in_time(layer: &Layer, leasing: &dyn Leasing) -> secrets_api::Result<secrets_api::Leased> {
    let cx = Ctx::within(layer.spec.timeout);
    let deadline = tokio::time::Instant::from_std(cx.deadline);
    let late = |_| {
        Error::new(
            ErrorKind::OutcomeUnknown,
            "the store did not answer in time",
        )
    };
    let issued = tokio::time::timeout_at(deadline, leasing.issue(&cx)).await;
    issued.map_err(late)?.map_err(|error| match error.kind() {
        ErrorKind::OutcomeUnknown => {
            error.with_hint("credentials may have been issued: they end by themselves")
        }
        _ => error,
    })
}

/// Ends what was issued and is not used; a lease that cannot be ended is said.
pub fn end(session: &Session, stack: &Stack, issued: &[Issued]) {
    for one in issued {
        let layer = &stack.layers[one.layer];
        let Some(leasing) = layer.provider.leasing() else {
            continue;
        };
        let cx = Ctx::within(layer.spec.timeout);
        let deadline = tokio::time::Instant::from_std(cx.deadline);
        let ended =
            async { tokio::time::timeout_at(deadline, leasing.revoke(&cx, &one.lease.id)).await };
        if !matches!(session.block_on(ended), Ok(Ok(()))) {
            let lasts = one.lease.lasts.as_secs();
            session.printer.warn(format!(
                "{}: lease {} could not be ended; it ends by itself in {lasts} s",
                layer.label, one.lease.id
            ));
        }
    }
}
