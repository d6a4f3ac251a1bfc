//! What the child finds in its environment: what we inherited, less our own credentials, under
//! what the stores hold. Pure: data in, data out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use secrets_api::{Name, SecretValue};

use super::hijack;
use crate::exit::{Exit, Failure, Result};

/// Which inherited names win over the stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// None: the stores win.
    #[default]
    None,
    /// All.
    All,
    /// These.
    Names(Vec<String>),
}

impl Keep {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Names(names) => names.iter().any(|n| n == name),
        }
    }
}

/// How to build it.
#[derive(Debug, Default)]
pub struct Rules {
    /// Which inherited names win.
    pub keep: Keep,
    /// Pass nothing on that was inherited.
    pub pristine: bool,
    /// Names that a store logged in with: they do not reach the child.
    pub credentials: Vec<String>,
}

/// What came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The child's environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Inherited names whose value was replaced by another.
    pub overridden: Vec<String>,
    /// Names of the stores that gave way to an inherited value.
    pub kept: Vec<String>,
}

/// Whether an inherited name is ours, not the child's: `SECRETS_*` and the tokens of stores.
fn is_our_own(name: &OsStr, credentials: &[String]) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b"SECRETS_")
        || bytes == b"VAULT_TOKEN"
        || bytes == b"BAO_TOKEN"
        || credentials.iter().any(|c| c.as_bytes() == bytes)
}

/// Builds the child's environment. The secrets are given by name in order; they come after what
/// is inherited.
///
/// # Errors
/// If a value holds NUL: no process environment can hold it.
pub fn build(
    inherited: &[(OsString, OsString)],
    secrets: &[(&Name, &SecretValue)],
    rules: &Rules,
) -> Result<Built> {
    let mut built = Built::default();
    let secret = |name: &OsStr| {
        let at = secrets.binary_search_by(|(n, _)| n.as_str().as_bytes().cmp(name.as_bytes()));
        at.ok().map(|index| secrets[index])
    };
    let mut present = Vec::new();
    if !rules.pristine {
        for (name, value) in inherited {
            match secret(name) {
                Some((n, _))
                    if rules.keep.holds(n.as_str()) && !is_our_own(name, &rules.credentials) =>
                {
                    present.push(n.as_str());
                    built.kept.push(n.to_string());
                    built.variables.push((name.clone(), value.clone()));
                }
                Some((n, new)) => {
                    if value.as_bytes() != new.expose() {
                        built.overridden.push(n.to_string());
                    }
                }
                None if is_our_own(name, &rules.credentials) => {}
                None => built.variables.push((name.clone(), value.clone())),
            }
        }
    }
    for (name, value) in secrets {
        if present.contains(&name.as_str()) {
            continue;
        }
        if value.has_nul() {
            return Err(Failure::new(
                Exit::Failed,
                format!("{name} holds a NUL byte: no process environment can hold it"),
            )
            .with_hint(format!("leave it out with `--except {name}`")));
        }
        built.variables.push((
            name.as_str().into(),
            OsString::from_vec(value.expose().to_vec()),
        ));
    }
    Ok(built)
}

/// Refuses names that can take a process over, unless a person allowed them.
///
/// # Errors
/// `Denied`, naming each and the command that allows them.
pub fn check_names<'a>(names: impl Iterator<Item = &'a Name>, allowed: &[String]) -> Result<()> {
    let refused: Vec<_> = names
        .filter(|name| !allowed.iter().any(|a| a == name.as_str()))
        .filter_map(|name| Some((name, hijack::reason(name.as_str())?)))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = refused
        .iter()
        .map(|(name, why)| format!("{name} ({why})"))
        .collect();
    let allow: Vec<_> = refused
        .iter()
        .map(|(name, _)| format!("--allow {name}"))
        .collect();
    Err(Failure::new(
        Exit::Denied,
        format!("names that can take a process over: {}", list.join(", ")),
    )
    .with_hint(format!(
        "if that is meant: `secrets trust {}`",
        allow.join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(inherited: &[(&str, &str)], secrets: &[(&str, &str)], rules: &Rules) -> Built {
        let inherited: Vec<_> = inherited
            .iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        let owned: Vec<_> = secrets
            .iter()
            .map(|(n, v)| (Name::new(n).unwrap(), SecretValue::from_slice(v.as_bytes())))
            .collect();
        let given: Vec<_> = owned.iter().map(|(n, v)| (n, v)).collect();
        build(&inherited, &given, rules).unwrap()
    }

    fn plain(built: &Built) -> Vec<String> {
        built
            .variables
            .iter()
            .map(|(n, v)| format!("{}={}", n.display(), v.display()))
            .collect()
    }

    #[test]
    fn the_store_wins_over_what_is_inherited() {
        let result = built(
            &[("A", "old"), ("B", "b"), ("C", "same")],
            &[("A", "new"), ("C", "same")],
            &Rules::default(),
        );
        assert_eq!(plain(&result), ["B=b", "A=new", "C=same"]);
        assert_eq!(result.overridden, ["A"]);
    }

    #[test]
    fn inherited_names_win_where_asked() {
        let keep = |keep| Rules {
            keep,
            ..Rules::default()
        };
        let result = built(
            &[("A", "old")],
            &[("A", "new"), ("B", "b")],
            &keep(Keep::All),
        );
        assert_eq!(plain(&result), ["A=old", "B=b"]);
        assert_eq!(result.kept, ["A"]);
        let result = built(
            &[("A", "1"), ("B", "1")],
            &[("A", "2"), ("B", "2")],
            &keep(Keep::Names(vec!["B".into()])),
        );
        assert_eq!(plain(&result), ["B=1", "A=2"]);
    }

    #[test]
    fn our_own_credentials_do_not_reach_the_child_unless_the_environment_defines_them() {
        let inherited = [
            ("SECRETS_IDENTITY", "x"),
            ("SECRETS_ENV", "x"),
            ("VAULT_TOKEN", "x"),
            ("BAO_TOKEN", "x"),
            ("ROLE", "x"),
            ("HOME", "h"),
        ];
        let rules = Rules {
            credentials: vec!["ROLE".into()],
            ..Rules::default()
        };
        assert_eq!(plain(&built(&inherited, &[], &rules)), ["HOME=h"]);
        assert_eq!(
            plain(&built(&inherited, &[("VAULT_TOKEN", "own")], &rules)),
            ["HOME=h", "VAULT_TOKEN=own"]
        );
        let keep = Rules {
            keep: Keep::All,
            ..Rules::default()
        };
        assert_eq!(
            plain(&built(&inherited[2..3], &[("VAULT_TOKEN", "own")], &keep)),
            ["VAULT_TOKEN=own"]
        );
    }

    #[test]
    fn a_pristine_environment_holds_the_secrets_alone() {
        let rules = Rules {
            pristine: true,
            ..Rules::default()
        };
        assert_eq!(plain(&built(&[("A", "1")], &[("B", "2")], &rules)), ["B=2"]);
    }

    #[test]
    fn hijacking_names_are_refused_with_the_command_that_allows_them() {
        let names = [
            Name::new("LD_PRELOAD").unwrap(),
            Name::new("KEY").unwrap(),
            Name::new("PATH").unwrap(),
        ];
        let failure = check_names(names.iter(), &["PATH".into()]).unwrap_err();
        assert_eq!(
            failure.hint.as_deref(),
            Some("if that is meant: `secrets trust --allow LD_PRELOAD`")
        );
        assert_eq!(failure.exit, Exit::Denied);
    }
}
