//! Text to [`Manifest`], with every mistake answered by line, column and the nearest right word.

use std::collections::BTreeMap;

use secrets_api::{Error, Name};
use serde_json::Value;
use toml_edit::{Document, Item, Table};

use super::model::{Manifest, REPLACED, Required, Store, schema};
use crate::exit::{Failure, Result};
use crate::layers::names::Names;
use crate::suggest;

/// Reads a manifest. `path` is for messages.
///
/// # Errors
/// Usage failures that name `path:line:column`: broken TOML, an unknown key (with the nearest
/// right one), a wrong type, and contradictions: an environment, store or name that is not there,
/// inheritance in a circle, a default for a secret value.
pub fn parse(text: &str, path: &str) -> Result<Manifest> {
    let manifest: Manifest = toml_edit::de::from_str(text).map_err(|e| {
        let document = text.parse::<Document<String>>();
        let unknown = document
            .as_ref()
            .ok()
            .and_then(|d| unknown_key(d.as_table(), &schema()));
        match (unknown, document) {
            (Some((key, at, known)), _) => {
                let place = place(text, at);
                Failure::usage(format!("{path}:{place}: unknown key `{key}`"))
                    .with_hint_opt(suggest::hint(&key, known.iter().map(String::as_str)))
            }
            // The text of a syntax error may quote the line, which may hold a pasted value.
            (None, Err(syntax)) => {
                let place = place(text, syntax.span().map_or(0, |s| s.start));
                let why = syntax
                    .message()
                    .lines()
                    .next()
                    .unwrap_or("not TOML")
                    .to_owned();
                Failure::usage(format!("{path}:{place}: {why}"))
            }
            (None, Ok(_)) => {
                let place = place(text, e.span().map_or(0, |s| s.start));
                Failure::usage(format!("{path}:{place}: {}", expected(e.message())))
            }
        }
    })?;
    check(&manifest).map_err(|(key, failure)| {
        let at = locate(text, &key).unwrap_or(0);
        Failure {
            message: format!("{path}:{}: {}", place(text, at), failure.message),
            ..failure
        }
    })?;
    Ok(manifest)
}

/// What a type error says was expected, without what it found there, which may be a pasted value:
/// serde writes `invalid type: string "…", expected a boolean`.
fn expected(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.rsplit_once("expected ") {
        Some((_, wanted))
            if line.starts_with("invalid ") || line.starts_with("unknown variant") =>
        {
            match wanted.strip_prefix("struct ") {
                Some(what) => format!("a table is expected here ({})", what.to_lowercase()),
                None => format!("{wanted} is expected here"),
            }
        }
        _ if line.starts_with("missing field") || line.starts_with("duplicate key") => {
            line.to_owned()
        }
        _ => "this is not what belongs here".to_owned(),
    }
}

/// `line:column`, both from 1, the column in characters.
fn place(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("{line}:{column}")
}

/// The first key that the schema does not have: the key, where it stands, and what could stand
/// there.
fn unknown_key(table: &Table, schema: &Value) -> Option<(String, usize, Vec<String>)> {
    walk(&Item::Table(table.clone()), schema, schema)
}

fn walk(item: &Item, schema: &Value, root: &Value) -> Option<(String, usize, Vec<String>)> {
    let schema = resolve(schema, root);
    let table = item.as_table_like()?;
    let known = schema.get("properties").and_then(Value::as_object);
    for (key, value) in table.iter() {
        let next = known.and_then(|k| k.get(key)).or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|more| more.is_object())
        });
        match next {
            Some(next) => {
                if let Some(found) = walk(value, next, root) {
                    return Some(found);
                }
            }
            None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                let at = table
                    .key(key)
                    .and_then(|k| k.span())
                    .map_or(0, |span| span.start);
                let known = known
                    .map(|k| k.keys().cloned().collect())
                    .unwrap_or_default();
                return Some((key.to_owned(), at, known));
            }
            None => {}
        }
    }
    None
}

/// Follows `$ref`, and the one non-null branch of an optional's `anyOf`.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        let target = root
            .pointer(pointer.trim_start_matches('#'))
            .unwrap_or(schema);
        return if std::ptr::eq(target, schema) {
            schema
        } else {
            resolve(target, root)
        };
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    match branches.and_then(|all| all.iter().find(|b| b.get("$ref").is_some())) {
        Some(branch) => resolve(branch, root),
        None => schema,
    }
}

/// Where the table or key at this dotted path stands.
fn locate(text: &str, path: &[String]) -> Option<usize> {
    let document = text.parse::<Document<String>>().ok()?;
    let mut item = document.as_item();
    let mut at = None;
    for key in path {
        let table = item.as_table_like()?;
        at = table
            .key(key)
            .and_then(|k| k.span())
            .map(|s| s.start)
            .or(at);
        item = table.get(key)?;
        at = item
            .span()
            .map(|s| s.start)
            .filter(|_| !item.is_table())
            .or(at);
    }
    at
}

/// What no type can say.
fn check(manifest: &Manifest) -> Result<(), (Vec<String>, Failure)> {
    let at = |path: &[&str]| path.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let names = || manifest.environments.keys().map(String::as_str);
    let known_environment = |name: &str, path: Vec<String>| {
        if manifest.environments.contains_key(name) {
            return Ok(());
        }
        let failure = Failure::usage(format!("there is no environment `{name}`"));
        Err((path, failure.with_hint_opt(suggest::hint(name, names()))))
    };
    if let Some(default) = &manifest.project.default_environment {
        known_environment(default, at(&["project", "default-environment"]))?;
    }
    for (name, environment) in &manifest.environments {
        check_environment(name).map_err(|failure| (at(&["environments", name]), failure))?;
        if let Some(parent) = &environment.inherit {
            known_environment(parent, at(&["environments", name, "inherit"]))?;
        }
        if in_a_circle(
            &manifest
                .environments
                .iter()
                .map(|(n, e)| (n.as_str(), e.inherit.as_deref()))
                .collect(),
            name,
        ) {
            let failure = Failure::usage(format!("environment `{name}` inherits from itself"));
            return Err((at(&["environments", name, "inherit"]), failure));
        }
    }
    for (name, store) in &manifest.stores {
        let wrong = |key: &str, what: String, hint: &str| {
            (
                at(&["stores", name, key]),
                Failure::usage(what).with_hint(hint),
            )
        };
        if let Some(timeout) = &store.timeout
            && duration(timeout).is_none()
        {
            let what = format!("the timeout of store `{name}` is no time from 100ms to 10m");
            return Err(wrong("timeout", what, "write it like `10s` or `500ms`"));
        }
        if store
            .plain_http
            .as_ref()
            .is_some_and(|why| why.trim().len() < 4)
        {
            let what = format!("plain-http of store `{name}` gives no reason");
            return Err(wrong(
                "plain-http",
                what,
                "say in words why nobody can listen",
            ));
        }
        check_names(name, store)?;
        // A credential that stands here is not repeated: it would be in the log, and in git.
        let auth = store.auth.as_ref();
        let literal = auth.and_then(|auth| {
            let mut settings = auth.settings.iter();
            settings.find(|(key, value)| is_literal(key, value))
        });
        if let Some((key, _)) = literal {
            let what = format!(
                "`{key}` of the login of store `{name}` is to name where it is kept, and is a value itself"
            );
            return Err(wrong(
                "auth",
                what,
                "write `env:NAME`, `file:PATH`, `keyring:SERVICE/ITEM` or `STORE#NAME`; a credential that stood in a file of the project is no secret any more",
            ));
        }
    }
    for name in manifest.stores.keys() {
        if !is_label(name) {
            let why = "a store's name holds letters, digits, `-`, `_` and `.`, starting with a letter or digit";
            return Err((at(&["stores", name]), Failure::usage(why)));
        }
    }
    for (name, secret) in &manifest.secrets {
        if let Err(why) = Name::new(name) {
            return Err((at(&["secrets", name]), Failure::usage(why.to_string())));
        }
        if secret.default.is_some() && secret.is_sensitive() {
            let failure = Failure::usage(format!(
                "{name} has a default value in the manifest, which is for everyone to read"
            ))
            .with_hint("remove `default`, or say `sensitive = false`");
            return Err((at(&["secrets", name, "default"]), failure));
        }
        if let Required::In(list) = &secret.required {
            for environment in list {
                known_environment(environment, at(&["secrets", name, "required"]))?;
            }
        }
    }
    Ok(())
}

/// What a store calls our secrets: a prefix and names that are names, one to one.
fn check_names(name: &str, store: &Store) -> Result<(), (Vec<String>, Failure)> {
    let wrong = |keys: &[&str], error: Error| {
        let path = ["stores", name].into_iter().chain(keys.iter().copied());
        let failure = Failure::usage(format!("store `{name}`: {}", error.message()));
        (
            path.map(str::to_owned).collect(),
            failure.with_hint_opt(error.hint().map(str::to_owned)),
        )
    };
    let prefix = store.prefix.as_deref();
    Names::new(prefix, &BTreeMap::new()).map_err(|error| wrong(&["prefix"], error))?;
    for (ours, theirs) in &store.rename {
        let alone = BTreeMap::from([(ours.clone(), theirs.clone())]);
        Names::new(None, &alone).map_err(|error| wrong(&["rename", ours], error))?;
    }
    let all = Names::new(prefix, &store.rename);
    all.map(drop).map_err(|error| {
        let second = error.name().map(ToString::to_string).unwrap_or_default();
        wrong(&["rename", &second], error)
    })
}

/// Whether an environment may be called so.
///
/// # Errors
/// A usage failure that says why not.
pub fn check_environment(name: &str) -> Result<()> {
    if !is_label(name) {
        return Err(Failure::usage(LABEL));
    }
    match name.to_ascii_lowercase().strip_suffix(REPLACED) {
        None => Ok(()),
        Some(_) => {
            let other = &name[..name.len() - REPLACED.len()];
            Err(Failure::usage(format!(
                "no environment is called `{name}`: what is replaced in `{other}` is kept under that name"
            ))
            .with_hint(format!("call it otherwise, such as `{other}-replaced`")))
        }
    }
}

/// What an environment may be called.
const LABEL: &str = "an environment's name holds letters, digits, `-`, `_` and `.`, starting with a letter or digit";

/// Whether an environment or a store may be called so.
pub fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 100
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn in_a_circle(parents: &BTreeMap<&str, Option<&str>>, start: &str) -> bool {
    let mut at = start;
    for _ in 0..parents.len() {
        match parents.get(at).copied().flatten() {
            Some(next) if next == start => return true,
            Some(next) => at = next,
            None => return false,
        }
    }
    false
}

/// Whether a login's setting is a credential that stands there itself, rather than the name of its place.
fn is_literal(key: &str, value: &str) -> bool {
    let credentials = [
        "password",
        "secret-id",
        "token",
        "jwt",
        "client-secret",
        "secret-access-key",
        "session-token",
    ];
    let places = ["env:", "file:", "keyring:"];
    let names_a_place = places.iter().any(|place| value.starts_with(place))
        || value
            .split_once('#')
            .is_some_and(|(store, _)| store.contains(':'))
        || key == "jwt" && value == "github";
    credentials.contains(&key) && !names_a_place
}

/// A time a store's call may take: `10s`, `500ms`, `1m`; from a tenth of a second to ten minutes.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    let time = std::time::Duration::try_from(parsed).ok()?;
    let bounds = std::time::Duration::from_millis(100)..=std::time::Duration::from_secs(600);
    bounds.contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> String {
        let f = parse(text, "secrets.toml").unwrap_err();
        format!(
            "{}{}",
            f.message,
            f.hint.map(|h| format!(" | {h}")).unwrap_or_default()
        )
    }

    #[test]
    fn a_credential_that_stands_in_the_manifest_is_refused_and_not_repeated() {
        let store = |auth: &str| format!("[stores.hq]\nuri = 'vault:a/b'\nauth = {{ {auth} }}\n");
        for literal in [
            "method = 'userpass', username = 'ann', password = 'hunter2canary'",
            "method = 'approle', role-id = 'x', secret-id = 'hunter2canary'",
            "method = 'token', token = 'hunter2canary'",
        ] {
            let failure = parse(&store(literal), "m").unwrap_err();
            assert!(
                failure.message.contains("where it is kept"),
                "{}",
                failure.message
            );
            assert!(!format!("{failure:?}").contains("hunter2canary"));
        }
        for place in ["env:X", "file:x", "keyring:a/b", "dotenv:.env#X", "env:#X"] {
            let text = store(&format!("method = 'token', token = '{place}'"));
            assert!(parse(&text, "m").is_ok(), "{place}");
        }
        for wrong in ["timeout = 'banana'", "timeout = '1h'", "plain-http = ''"] {
            let text = format!("[stores.hq]\nuri = 'vault:a/b'\n{wrong}\n");
            assert!(parse(&text, "m").is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_example_of_the_design_is_understood() {
        let manifest = parse(
            r#"
            [project]
            name = "shop"
            default-environment = "dev"
            [environments.dev]
            source = ["dotenv:.env", "local:"]
            [environments.production]
            source = ["hq"]
            mirrors = ["aws:shop/production?region=eu-west-1"]
            protected = true
            [stores.hq]
            uri = "vault:secret/shop/production"
            addresses = ["https://vault.example.com:8200"]
            auth = { method = "approle", role-id = "r", secret-id = "keyring:shop/vault-secret-id" }
            [secrets.SECRET_KEY]
            kind = "django-key"
            rotate = { every = "90d", fallbacks = "SECRET_KEY_FALLBACKS", overlap = "14d" }
            [secrets.DATABASE_URL]
            required = ["production"]
            [secrets.DEBUG]
            sensitive = false
            default = "false"
            "#,
            "secrets.toml",
        )
        .unwrap();
        assert!(
            manifest.secrets["DATABASE_URL"]
                .required
                .holds_in("production")
        );
        assert!(!manifest.secrets["DATABASE_URL"].required.holds_in("dev"));
        assert!(!manifest.secrets["DEBUG"].is_sensitive());
        assert_eq!(
            manifest.stores["hq"].auth.as_ref().unwrap().method,
            "approle"
        );
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest_right_one() {
        assert_eq!(
            failure("[project]\nname = \"shop\"\n\n[environments.dev]\nsuorce = [\"local:\"]\n"),
            "secrets.toml:5:1: unknown key `suorce` | did you mean `source`?"
        );
        assert_eq!(
            failure("[secret.X]\nkind = \"url\"\n"),
            "secrets.toml:1:2: unknown key `secret` | did you mean `secrets`?"
        );
        assert_eq!(
            failure("[secrets.X]\nrotate = { evry = \"1d\" }\n"),
            "secrets.toml:2:12: unknown key `evry` | did you mean `every`?"
        );
    }

    #[test]
    fn broken_toml_names_line_and_column_and_quotes_nothing() {
        let text = failure("[project]\nname = hunter2canary\n");
        assert!(text.starts_with("secrets.toml:2:8: "), "{text}");
        assert!(!text.contains("hunter2canary"), "{text}");
        for (manifest, want) in [
            (
                "[project]\nname = 7\n",
                "secrets.toml:2:8: a string is expected here",
            ),
            (
                "[secrets]\nSECRET_KEY = \"hunter2canary\"\n",
                "secrets.toml:2:14: a table is expected here (secret)",
            ),
            (
                "[secrets.A]\nsensitive = \"hunter2canary, expected canary\"\n",
                "secrets.toml:2:13: a boolean is expected here",
            ),
        ] {
            assert_eq!(failure(manifest), want);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, want) in [
            (
                "[project]\ndefault-environment = \"prd\"\n[environments.prod]\n",
                "secrets.toml:2:23: there is no environment `prd` | did you mean `prod`?",
            ),
            (
                "[environments.a]\ninherit = \"b\"\n[environments.b]\ninherit = \"a\"\n",
                "secrets.toml:2:11: environment `a` inherits from itself",
            ),
            (
                "[environments.dev]\n[environments.'dev.Replaced']\n",
                "secrets.toml:2:15: no environment is called `dev.Replaced`: what is replaced in `dev` is kept under that name | call it otherwise, such as `dev-replaced`",
            ),
            (
                "[secrets.X]\ndefault = \"v\"\n",
                "secrets.toml:2:11: X has a default value in the manifest, which is for everyone to read | remove `default`, or say `sensitive = false`",
            ),
            (
                "[stores.hq]\nuri = \"vault:a/b\"\nprefix = \"SHOP-\"\n",
                "secrets.toml:3:10: store `hq`: a prefix is the beginning of a name: a name holds letters, digits and `_`, not `-` | write it like `SHOP_`: letters, digits and `_`, not starting with a digit",
            ),
            (
                "[stores.hq]\nuri = \"vault:a/b\"\nprefix = \"\"\n",
                "secrets.toml:3:10: store `hq`: a prefix is the beginning of a name: a name needs at least one character | write it like `SHOP_`: letters, digits and `_`, not starting with a digit",
            ),
            (
                "[stores.hq]\nuri = \"vault:a/b\"\nrename = { A = \"B C\" }\n",
                "secrets.toml:3:16: store `hq`: a name holds letters, digits and `_`, not ` `",
            ),
            (
                "[stores.hq]\nuri = \"vault:a/b\"\n[stores.hq.rename]\n1A = \"B\"\n",
                "secrets.toml:4:6: store `hq`: a name does not start with a digit",
            ),
            (
                "[stores.hq]\nuri = \"vault:a/b\"\n[stores.hq.rename]\nA = \"X\"\nB = \"X\"\n",
                "secrets.toml:5:5: store `hq`: A and B are both called X there | two secrets need two names in the store",
            ),
            (
                "[secrets.\"A B\"]\n",
                "secrets.toml:1:10: a name holds letters, digits and `_`, not ` `",
            ),
        ] {
            assert_eq!(failure(text), want);
        }
    }
}
