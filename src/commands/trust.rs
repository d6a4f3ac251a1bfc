//! `secrets trust`: shows what a project may reach and copy to and who may seal its local store, and records
//! a person's word for exactly that.

use std::collections::BTreeSet;

use serde_json::json;

use crate::exec::hijack;
use crate::exit::{Exit, Failure, Result};
use crate::manifest::trust::{self, Record};
use crate::printer::Mark;
use crate::session::Session;
use crate::settings::{self, Project};

/// Show what this project may reach and accept it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
secrets.toml comes with the code, from whoever may change the code. What it names beyond the \
project's own files, where it copies an environment to and what it says is no secret hold only once \
you have accepted them here; when they change you are asked again. The same for the people the local \
store is sealed to.\n\nIn CI: SECRETS_TRUST=DIGEST.")]
pub struct Args {
    /// Accept exactly what this digest stands for, without asking; repeatable
    #[arg(long, value_name = "DIGEST")]
    accept: Vec<String>,
    /// Let a name that can take a process over (PATH, LD_PRELOAD, …) be passed on in this project
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,
    /// Forget all that was accepted for this project
    #[arg(long, conflicts_with_all = ["accept", "allow"])]
    revoke: bool,
}

/// Something that waits for a person's word.
struct Pending {
    title: String,
    digest: String,
    lines: Vec<(Mark, String)>,
    what: What,
}

enum What {
    Manifest,
    #[cfg(feature = "local")]
    Local(String),
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let project = Project::discover(&session.surroundings)?;
        let dirs = &session.surroundings.dirs;
        let mut record = Record::load(dirs, &project.root)?;
        if self.revoke {
            Record::default().save(dirs, &project.root)?;
            #[cfg(feature = "local")]
            session.local_folder(&project.root).forget_accepted()?;
            session.printer.done(format!(
                "nothing is trusted in {} any more",
                project.root.display()
            ));
            if session.printer.json {
                session
                    .printer
                    .document(&json!({"schema": 1, "revoked": true}))?;
            }
            return Ok(Exit::Done);
        }
        record.root = project.root.display().to_string();
        if !self.allow.is_empty() {
            return allow(session, &project, record, &self.allow);
        }
        let claims = trust::claims(&project.manifest, &project.root);
        let mut pending: Vec<Pending> = manifest(&project, &record, &claims).into_iter().collect();
        pending.extend(local(session, &project)?);
        if session.printer.json {
            report(session, &claims, &pending)?;
        }
        self.settle(session, &project, &mut record, claims, &pending)
    }

    fn settle(
        &self,
        session: &Session,
        project: &Project,
        record: &mut Record,
        claims: Vec<String>,
        pending: &[Pending],
    ) -> Result<Exit> {
        if let Some(unknown) = self
            .accept
            .iter()
            .find(|given| !pending.iter().any(|p| p.digest == **given))
        {
            return Err(Failure::new(
                Exit::Conflict,
                format!(
                    "nothing that waits has the digest {}",
                    crate::printer::printable(unknown)
                ),
            )
            .with_hint("run `secrets trust` to see what there is now"));
        }
        if pending.is_empty() {
            for claim in &claims {
                session.printer.mark(Mark::Same, claim);
            }
            session.printer.say("nothing waits for your word");
            return Ok(Exit::Done);
        }
        for item in pending {
            session.printer.mark(Mark::Heading, &item.title);
            for (mark, line) in &item.lines {
                session.printer.mark(*mark, line);
            }
            let by_digest = self.accept.contains(&item.digest);
            if !by_digest && !session.printer.can_ask() {
                return Err(Failure::new(Exit::Denied, "there is no terminal to ask on")
                    .with_hint(format!(
                        "if this is right: secrets trust --accept {}",
                        item.digest
                    )));
            }
            if !by_digest && !session.printer.confirm("accept this?", "--accept")? {
                return Err(Failure::new(Exit::Denied, "not accepted"));
            }
            match &item.what {
                What::Manifest => {
                    record.claims.clone_from(&claims);
                    record.save(&session.surroundings.dirs, &project.root)?;
                    session
                        .printer
                        .hint(format!("in CI: SECRETS_TRUST={}", item.digest));
                }
                #[cfg(feature = "local")]
                What::Local(document) => {
                    session
                        .local_folder(&project.root)
                        .accept(document, &item.digest)?;
                }
            }
            session.printer.done("accepted");
        }
        Ok(Exit::Done)
    }
}

/// The manifest's claims, if they are not what was accepted.
fn manifest(project: &Project, record: &Record, claims: &[String]) -> Option<Pending> {
    project.found.as_ref()?;
    if record.claims == claims {
        return None;
    }
    let before: BTreeSet<&String> = record.claims.iter().collect();
    let now: BTreeSet<&String> = claims.iter().collect();
    let mut lines: Vec<_> = now
        .iter()
        .map(|claim| {
            (
                if before.contains(*claim) {
                    Mark::Same
                } else {
                    Mark::Added
                },
                (*claim).clone(),
            )
        })
        .collect();
    lines.extend(
        before
            .difference(&now)
            .map(|claim| (Mark::Removed, (*claim).clone())),
    );
    let title = "secrets.toml may reach:".to_owned();
    Some(Pending {
        title,
        digest: trust::digest(claims),
        lines,
        what: What::Manifest,
    })
}

/// What the local stores of this project wait for.
#[cfg(feature = "local")]
fn local(session: &Session, project: &Project) -> Result<Vec<Pending>> {
    let folder = session.local_folder(&project.root);
    let mut pending = Vec::new();
    let mut broken = None;
    for document in settings::local_documents(project) {
        match folder.review(&document) {
            Ok(review) => pending.extend(waiting(document, &review)),
            Err(error) => {
                let failure = Failure::from(error);
                let first = broken.get_or_insert_with(|| failure.clone());
                if first.message != failure.message {
                    session.printer.failure(&failure);
                }
            }
        }
    }
    // One that is broken is in nobody's way but its own.
    if let Some(failure) = broken {
        if pending.is_empty() {
            return Err(failure);
        }
        session.printer.failure(&failure);
    }
    for document in folder.replaced()? {
        match folder.review(&document) {
            Ok(review) => pending.extend(waiting(document, &review)),
            Err(error) => {
                let printer = &session.printer;
                printer.warn(error.to_string());
                printer.hint(format!(
                    "it keeps what was replaced, and nothing reads it: if it cannot be mended, `rm .secrets/{document}.age`"
                ));
            }
        }
    }
    Ok(pending)
}

/// What a document waits for, if it does.
#[cfg(feature = "local")]
fn waiting(document: String, review: &secrets_local::Review) -> Option<Pending> {
    let lines = review.lines().iter();
    (!review.is_empty()).then(|| Pending {
        title: format!("the local store `{document}`:"),
        digest: review.digest().to_owned(),
        lines: lines.map(|line| (Mark::Added, line.clone())).collect(),
        what: What::Local(document),
    })
}

#[cfg(not(feature = "local"))]
fn local(_: &Session, _: &Project) -> Result<Vec<Pending>> {
    Ok(Vec::new())
}

fn allow(
    session: &Session,
    project: &Project,
    mut record: Record,
    words: &[String],
) -> Result<Exit> {
    for name in settings::names(words)? {
        match hijack::reason(name.as_str()) {
            None => session
                .printer
                .say(format!("{name} needs no permission: it is passed on")),
            Some(_) if record.allow.iter().any(|a| a == name.as_str()) => {
                session.printer.say(format!("{name} is allowed already"));
            }
            Some(why) => {
                record.allow.push(name.to_string());
                session.printer.done(format!(
                    "{name} is passed on in {} from now on ({why})",
                    project.root.display()
                ));
            }
        }
    }
    record.save(&session.surroundings.dirs, &project.root)?;
    if session.printer.json {
        session
            .printer
            .document(&json!({"schema": 1, "allowed": record.allow}))?;
    }
    Ok(Exit::Done)
}

fn report(session: &Session, claims: &[String], pending: &[Pending]) -> Result<()> {
    let list: Vec<_> = pending
        .iter()
        .map(|p| {
            let lines: Vec<_> = p.lines.iter().map(|(_, line)| line).collect();
            json!({"title": p.title, "digest": p.digest, "lines": lines})
        })
        .collect();
    session.printer.document(
        &json!({"schema": 1, "claims": claims, "digest": trust::digest(claims), "pending": list}),
    )
}
