//! What `doctor` is told: reachable, who we are, what we may do. Only what was asked without changing
//! anything is said; no value is read.

use google_cloud_gax::error::rpc::Code;
use secrets_api::{Ctx, ErrorKind, Report, Result, Timestamp};

use crate::failure::{self, Failed, Method, TO_READ, TO_WRITE};
use crate::place::Place;
use crate::session::{Session, ask};
use crate::store::Store;

/// An id that nobody has: asking for it changes nothing, and is answered with the time.
const NOBODY: &str = "secrets-doctor-asks-for-what-is-not-there";

/// How many seconds two clocks may differ: a signed token says when it was made, and the service allows for
/// little (<https://google.aip.dev/auth/4111>).
const SKEW: i64 = 30;

/// What each of our words needs.
const ABILITIES: [(&str, &[&str]); 5] = [
    ("read", &["secretmanager.versions.access"]),
    ("write", &["secretmanager.versions.add"]),
    ("history", &["secretmanager.versions.list"]),
    (
        "remove",
        &[
            "secretmanager.secrets.get",
            "secretmanager.secrets.update",
            "secretmanager.versions.disable",
        ],
    ),
    ("prune", &["secretmanager.versions.destroy"]),
];

pub(crate) async fn report(store: &Store, cx: &Ctx) -> Result<Report> {
    let session = store.session(cx).await?;
    let mut report = Report {
        identity: Some(session.identity.clone()),
        ..Report::default()
    };
    // The first answer says whether it can be reached at all.
    let told_at = clock(store, cx, &session).await?;
    fact(&mut report, "reachable", store.link.endpoint.to_string());
    fact(&mut report, "tls", tls(store));
    skew(&mut report, told_at);
    let mut may = Vec::new();
    match store.entries(cx, &session).await {
        Ok((entries, _)) => {
            may.push("list".to_owned());
            fact(&mut report, "secrets", entries.len().to_string());
            match entries.first() {
                Some(entry) => {
                    let resource = store.place.secret(&entry.name);
                    abilities(store, cx, &session, resource, &mut report, &mut may).await?;
                }
                None => may.push("all else not tried (there is no secret to ask about)".to_owned()),
            }
        }
        Err(failed) if failed.error.kind() == ErrorKind::PermissionDenied => {
            problem(&mut report, failed);
            may.push("all else not tried (what cannot be listed cannot be asked about)".to_owned());
        }
        Err(failed) => return Err(failed.error),
    }
    may.push("creating secrets not tried (it cannot be without creating one)".to_owned());
    fact(&mut report, "we may", may.join(", "));
    Ok(report)
}

fn fact(report: &mut Report, label: &str, text: impl Into<String>) {
    report.facts.push((label.to_owned(), text.into()));
}

fn problem(report: &mut Report, failed: Failed) {
    let hint = failed.error.hint().map(str::to_owned);
    report
        .problems
        .push((failed.error.message().to_owned(), hint));
}

fn tls(store: &Store) -> &'static str {
    match store.link.endpoint.is_tls() {
        true => "verified, by the system's authorities or those of SSL_CERT_FILE",
        false => "none: plain HTTP",
    }
}

/// What the service's clock says, from an answer to a question that changes nothing.
async fn clock(store: &Store, cx: &Ctx, session: &Session) -> Result<Option<Timestamp>> {
    let resource = format!("{}/secrets/{NOBODY}", store.place.parent);
    let request = session.client.get_secret().set_name(resource);
    match ask(cx, &store.place, failure::GET, request.send()).await {
        Ok(_) => Ok(None),
        Err(failed) if failed.is(Code::NotFound) || failed.is(Code::PermissionDenied) => {
            Ok(failed.told_at)
        }
        Err(failed) => Err(failed.error),
    }
}

fn skew(report: &mut Report, told_at: Option<Timestamp>) {
    let Some(told_at) = told_at else {
        return fact(report, "clock", "not told by the server");
    };
    let ahead = Timestamp::now().as_second() - told_at.as_second();
    let text = match ahead {
        // The header has whole seconds, and the answer took its time.
        -2..=2 => "as the server's".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s ahead of the server's"),
        behind => format!("{} s behind the server's", -behind),
    };
    if ahead.abs() > SKEW {
        let hint = "set the clock: `timedatectl set-ntp true`".to_owned();
        report
            .problems
            .push((format!("the clock is {text}"), Some(hint)));
    }
    fact(report, "clock", text);
}

/// What we may do to one secret, by asking the service: it needs no permission and changes nothing.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/testIamPermissions>
async fn abilities(
    store: &Store,
    cx: &Ctx,
    session: &Session,
    resource: String,
    report: &mut Report,
    may: &mut Vec<String>,
) -> Result<()> {
    let asked = ABILITIES.iter().flat_map(|(_, permissions)| *permissions);
    let request = session
        .client
        .test_iam_permissions()
        .set_resource(resource)
        .set_permissions(asked.copied());
    let held = match ask(cx, &store.place, failure::TEST, request.send()).await {
        Ok(answer) => answer.permissions,
        Err(failed) => {
            problem(report, failed);
            may.push("all else not tried".to_owned());
            return Ok(());
        }
    };
    for (word, permissions) in ABILITIES {
        let lacking = permissions
            .iter()
            .find(|permission| !held.iter().any(|held| held == *permission));
        match lacking {
            None => may.push(word.to_owned()),
            Some(permission) => report.problems.push((
                format!("we may not {word}: the permission {permission} is missing"),
                Some(failure::grant(permission, &store.place.project)),
            )),
        }
    }
    Ok(())
}

/// The least under which all of this works, as commands: roles of one's own that read and that write, below
/// the store's prefix alone where it has one. Listing and creating are asked of the project, so no condition
/// on a secret's name can hold for them.
/// <https://cloud.google.com/iam/docs/creating-custom-roles>,
/// <https://cloud.google.com/secret-manager/docs/access-control>
pub(crate) fn policy(place: &Place) -> String {
    let project = &place.project;
    let mut text = String::new();
    if place.beginning("").is_some() {
        text.push_str(&format!(
            "NUMBER=$(gcloud projects describe {project} --format='value(projectNumber)')\n"
        ));
    }
    text.push_str("# to read\n");
    grants(&mut text, place, "secretsLister", &TO_READ.0, None);
    let below = place.beginning("$NUMBER");
    grants(
        &mut text,
        place,
        "secretsReader",
        &TO_READ.1,
        below.as_deref(),
    );
    text.push_str("# to write as well\n");
    grants(&mut text, place, "secretsCreator", &TO_WRITE.0, None);
    grants(
        &mut text,
        place,
        "secretsWriter",
        &TO_WRITE.1,
        below.as_deref(),
    );
    text.push_str(
        "# or, wider, by Google's own roles: roles/secretmanager.secretAccessor and \
         roles/secretmanager.viewer to read, roles/secretmanager.admin to write\n",
    );
    text
}

/// Makes a role and gives it to somebody, for secrets whose resource names begin so.
fn grants(text: &mut String, place: &Place, role: &str, methods: &[Method], below: Option<&str>) {
    let project = &place.project;
    let permissions: Vec<&str> = methods.iter().map(|method| method.permission).collect();
    let permissions = permissions.join(",");
    let condition = below.map_or("None".to_owned(), |beginning| {
        format!("\"title={role},expression=resource.name.startsWith('{beginning}')\"")
    });
    text.push_str(&format!(
        "gcloud iam roles create {role} --project={project} --permissions={permissions}\n\
         gcloud projects add-iam-policy-binding {project} --member=MEMBER \
         --role=projects/{project}/roles/{role} --condition={condition}\n"
    ));
}
