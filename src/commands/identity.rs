//! `secrets identity`: the key that opens the local store. There is one to keep; it is never
//! replaced, and none is made while a place that may hold one cannot be asked.

use secrets_api::{SecretValue, Zeroizing};
use secrets_local::Identity;
use secrets_platform::files;
use serde_json::json;

use crate::exit::{Exit, Failure, Result};
use crate::identity;
use crate::session::Session;

/// Make, show or export your identity: the key that opens the local store
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make one, unless you have one
    New {
        /// Keep it in the OS keyring instead of a file
        #[arg(long)]
        keyring: bool,
        /// Do not ask the OS keyring whether it holds one: for a machine that has none
        #[arg(long, conflicts_with = "keyring")]
        no_keyring: bool,
    },
    /// Show where it is kept and its public keys: what a teammate needs to add you
    Show,
    /// Print the identity itself, to keep a copy in a safe place
    Export {
        /// Show it on the terminal
        #[arg(long)]
        reveal: bool,
    },
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        match self.what {
            What::New {
                keyring,
                no_keyring,
            } => {
                let found = identity::find_in(&session.surroundings, !no_keyring)?;
                if let Some((place, _)) = found {
                    return Err(Failure::usage(format!("you have an identity: {place}"))
                        .with_hint("`secrets identity show` shows its public keys"));
                }
                let made = create(session, keyring)?;
                show(session, &made)
            }
            What::Show => {
                let (place, identity) = own(session)?;
                session.printer.say(format!("kept in {place}"));
                show(session, &identity)
            }
            What::Export { reveal } => {
                if session.printer.out_is_terminal() && !reveal {
                    return Err(Failure::usage("the identity would be shown on this terminal")
                        .with_hint("if that is meant: --reveal; else `secrets identity export > FILE` under umask 077"));
                }
                let (_, identity) = own(session)?;
                let secret = identity.to_secret();
                session.printer.data(secret.expose())?;
                if !secret.expose().ends_with(b"\n") {
                    session.printer.data(b"\n")?;
                }
                Ok(Exit::Done)
            }
        }
    }
}

/// The identity there is, unlocked.
fn own(session: &Session) -> Result<(identity::Place, Identity)> {
    let Some((place, _)) = identity::find(&session.surroundings)? else {
        return Err(identity::none_found(&session.surroundings).into());
    };
    let unlocked = session.identity()()?;
    Ok((place, Identity::parse(&unlocked)?))
}

/// Makes an identity and keeps it; the caller has made sure that there is none.
///
/// # Errors
/// If it cannot be kept: then there is none.
pub fn create(session: &Session, keyring: bool) -> Result<Identity> {
    let made = Identity::generate();
    let secret = made.to_secret();
    let dirs = &session.surroundings.dirs;
    if keyring {
        in_keyring(&secret)?;
        // The marker comes last: without it the keyring is asked all the same.
        keep(&identity::keyring_marker(dirs), made.recipient().as_bytes())?;
        session
            .printer
            .done("identity made, kept in the OS keyring");
    } else {
        let path = identity::file(dirs);
        keep(&path, secret.expose())?;
        session
            .printer
            .done(format!("identity made, kept in {}", path.display()));
    }
    Ok(made)
}

#[cfg(feature = "keyring")]
fn in_keyring(secret: &SecretValue) -> Result<()> {
    secrets_keyring::set(identity::KEYRING_SERVICE, identity::KEYRING_NAME, secret)?;
    let back = secrets_keyring::get(identity::KEYRING_SERVICE, identity::KEYRING_NAME)?;
    if back.is_some_and(|back| back.same_as(secret)) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        "the OS keyring did not keep the identity",
    ))
}

#[cfg(not(feature = "keyring"))]
fn in_keyring(_: &SecretValue) -> Result<()> {
    Err(Failure::usage(
        "this program was built without the OS keyring",
    ))
}

/// Writes a private file that must not be there yet.
fn keep(path: &std::path::Path, text: &[u8]) -> Result<()> {
    let options = files::Options {
        create_parents: true,
        ..files::Options::default()
    };
    files::update(path, &options, |now| {
        if now.is_some() {
            let message = format!("{} is there already", path.display());
            return Err(secrets_api::Error::new(
                secrets_api::ErrorKind::Conflict,
                message,
            ));
        }
        let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        line.extend_from_slice(text);
        line.push(b'\n');
        Ok((files::Edit::Replace(line), ()))
    })?;
    Ok(())
}

fn show(session: &Session, identity: &Identity) -> Result<Exit> {
    let (recipient, signing) = (identity.recipient(), identity.signing_key());
    if session.printer.json {
        session
            .printer
            .document(&json!({"schema": 1, "recipient": recipient, "signing-key": signing}))?;
        return Ok(Exit::Done);
    }
    session.printer.line(&recipient)?;
    session.printer.line(&signing)?;
    session.printer.hint(format!(
        "a teammate who is in adds you with: secrets team add YOUR-NAME '{recipient}' {signing}"
    ));
    Ok(Exit::Done)
}
