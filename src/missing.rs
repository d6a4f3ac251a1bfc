//! A secret that is not there: said with the nearest name that is.

use secrets_api::Name;

use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::Stack;
use crate::suggest;

/// The failure for `name`: with the nearest name the stores hold, else the command that sets it.
pub fn failure(session: &Session, settings: &Settings, stack: &Stack, name: &Name) -> Failure {
    let listed = session
        .block_on(stack.list(&session.cx()))
        .unwrap_or_default();
    if let Some(issued) = listed.get(name)
        && stack.layers[issued.layer].provider.leasing().is_some()
    {
        let what = format!(
            "{name} is issued by {} only as a command starts",
            stack.layers[issued.layer].label
        );
        return Failure::new(Exit::NotFound, what).with_hint("`secrets exec -- COMMAND`");
    }
    let declared = settings.manifest.secrets.keys().map(String::as_str);
    let near = suggest::nearest(name.as_str(), listed.keys().map(Name::as_str))
        .map(|near| format!("did you mean `{near}`?"));
    let near = near.or_else(|| {
        suggest::nearest(name.as_str(), declared.filter(|d| *d != name.as_str()))
            .map(|near| format!("did you mean `{near}`? (declared in secrets.toml, no value yet)"))
    });
    let set = format!(
        "set it with `secrets set {name} -e {}`",
        settings.environment
    );
    Failure::not_found(name, settings.place()).with_hint(near.unwrap_or(set))
}
