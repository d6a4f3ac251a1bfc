//! Commands that are to be typed next, as a shell reads them. What this run was asked with comes along: typed as
//! it stands, such a command is about the same stores, environment and names.

use std::fmt;
use std::path::Path;

use secrets_api::Name;

use crate::apply::Party;
use crate::flags::{Choice, Globals, Mapping};
use crate::shell::quoted;

/// So many names stand in a command; where there are more it is shown for one of them.
const MOST_LISTED: usize = 12;

/// A command of this program.
#[derive(Debug, Clone)]
pub struct Line(Vec<String>);

impl Line {
    /// A verb without arguments.
    pub fn new(verb: &str) -> Self {
        Self(vec!["secrets".to_owned(), verb.to_owned()])
    }

    /// With these arguments.
    #[must_use]
    pub fn words<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.0.extend(words.into_iter().map(Into::into));
        self
    }

    /// With a flag and its value.
    #[must_use]
    pub fn flag(self, flag: &str, value: &str) -> Self {
        self.words([flag, value])
    }

    /// With a flag and its value, if there is one.
    #[must_use]
    pub fn flag_opt(self, flag: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.flag(flag, value),
            None => self,
        }
    }

    /// With a flag that takes no value, if it is on.
    #[must_use]
    pub fn switch(self, flag: &str, on: bool) -> Self {
        self.words(on.then_some(flag))
    }

    /// With a flag that takes a list, if that has anything in it.
    #[must_use]
    pub fn list(self, flag: &str, words: &[String]) -> Self {
        match words {
            [] => self,
            words => self.flag(flag, &words.join(",")),
        }
    }

    /// With the flags that say which environment, store and dialect.
    #[must_use]
    pub fn globals(self, globals: &Globals) -> Self {
        let stores = globals.store.iter();
        let line = stores.fold(
            self.flag_opt("-e", globals.env.as_deref()),
            |line, store| line.flag("--store", store),
        );
        #[cfg(feature = "dotenv")]
        let line = line.flag_opt("--dialect", globals.dialect.as_deref());
        line
    }

    /// With the flags that say which names.
    #[must_use]
    pub fn choice(self, choice: &Choice) -> Self {
        self.list("--only", &choice.only)
            .list("--except", &choice.except)
    }

    /// With the flags that say what names are called on the right side.
    #[must_use]
    pub fn mapping(self, mapping: &Mapping) -> Self {
        self.list("--rename", &mapping.rename)
            .flag_opt("--prefix", mapping.prefix.as_deref())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().map(|word| quoted(word)).collect();
        f.write_str(&quoted.join(" "))
    }
}

/// Names as they stand in a command, each once: `A,B`; of too many the word that stands for one.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let names: std::collections::BTreeSet<&str> = names.into_iter().map(Name::as_str).collect();
    if names.len() > MOST_LISTED {
        return "NAME".to_owned();
    }
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// One of an environment's mirrors as it is named in `cwd`: a path in the manifest starts where that is, and
/// a path on the command line where the command line is.
pub fn address(mirror: &Party, cwd: &Path) -> String {
    let [layer] = mirror.settings.layers.as_slice() else {
        return mirror.label.clone();
    };
    match layer.file() {
        Some(file) if layer.label.contains(':') && layer.root != cwd => at(&layer.label, &file),
        _ => layer.label.clone(),
    }
}

/// The address of another file with the options of this one.
pub fn at(address: &str, path: &Path) -> String {
    let scheme = address
        .split_once(':')
        .map_or(address, |(scheme, _)| scheme);
    let options = address.split_once('?');
    let options = options.map_or_else(String::new, |(_, options)| format!("?{options}"));
    format!("{scheme}:{}{options}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_what_it_was_asked_with_as_a_shell_reads_it() {
        let globals = Globals {
            env: Some("prod".to_owned()),
            store: vec!["aws:x?layout=each".to_owned(), "local:".to_owned()],
            ..Globals::default()
        };
        let choice = Choice {
            only: vec!["DB_*".to_owned(), "A".to_owned()],
            except: Vec::new(),
        };
        let line = Line::new("push")
            .words(["dotenv:it's.env"])
            .globals(&globals);
        let line = line
            .choice(&choice)
            .switch("--yes", true)
            .switch("--delete", false);
        assert_eq!(
            line.to_string(),
            r"secrets push 'dotenv:it'\''s.env' -e prod --store 'aws:x?layout=each' --store local: --only 'DB_*,A' --yes"
        );
    }

    #[test]
    fn of_too_many_names_the_command_is_shown_for_one() {
        let names = |count: usize| -> Vec<Name> {
            let names = (0..count)
                .rev()
                .map(|n| Name::new(&format!("N{n}")).unwrap());
            names.collect()
        };
        assert_eq!(listed(names(3).iter().chain(&names(2))), "N0,N1,N2");
        assert_eq!(listed(&names(13)), "NAME");
    }

    #[test]
    fn another_file_keeps_the_options_of_the_first() {
        let path = Path::new("/srv/b.env");
        assert_eq!(
            at("dotenv:a.env?dialect=docker", path),
            "dotenv:/srv/b.env?dialect=docker"
        );
        assert_eq!(at("dotenv:a.env", path), "dotenv:/srv/b.env");
    }
}
