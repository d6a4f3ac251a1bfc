//! Store URIs: `SCHEME:LOCATION[?KEY=VALUE[&KEY=VALUE]…]`.

use std::fmt;

/// Where a store is: `dotenv:.env?dialect=docker`, `local:`, `keyring:shop`.
///
/// Never holds a credential: user information (`//user:password@host`) is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreUri {
    scheme: String,
    location: String,
    options: Vec<(String, String)>,
}

/// Why a text is no [`StoreUri`]. Holds no part of the text: it may have held a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidUri {
    /// There is no `scheme:`.
    NoScheme,
    /// The part after `?` is not `key=value&…`.
    Options,
    /// It holds a user name, password or token.
    Credentials,
    /// It holds a control character.
    Control,
}

impl StoreUri {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`InvalidUri`] says what is wrong with its form; whether the scheme exists is the
    /// registry's to say.
    pub fn parse(text: &str) -> Result<Self, InvalidUri> {
        if text.chars().any(char::is_control) {
            return Err(InvalidUri::Control);
        }
        let (scheme, rest) = text.split_once(':').ok_or(InvalidUri::NoScheme)?;
        let well_formed = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !well_formed {
            return Err(InvalidUri::NoScheme);
        }
        let (location, query) = match rest.split_once('?') {
            Some((location, query)) => (location, Some(query)),
            None => (rest, None),
        };
        if location.starts_with("//") && location.contains('@') {
            return Err(InvalidUri::Credentials);
        }
        let mut options = Vec::new();
        for pair in query.into_iter().flat_map(|q| q.split('&')) {
            let (key, value) = pair.split_once('=').ok_or(InvalidUri::Options)?;
            if key.is_empty() || options.iter().any(|(k, _)| k == key) {
                return Err(InvalidUri::Options);
            }
            if ["token", "password", "secret", "secret-id", "key"].contains(&key) {
                return Err(InvalidUri::Credentials);
            }
            options.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            location: location.to_owned(),
            options,
        })
    }

    /// The provider's name.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between `scheme:` and `?`.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The value of one option.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All options, in the order given.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Sets an option that the address does not name itself.
    pub fn set_default(&mut self, key: &str, value: &str) {
        if self.option(key).is_none() {
            self.options.push((key.to_owned(), value.to_owned()));
        }
    }

    /// The first option that is none of `known`.
    pub fn unknown_option(&self, known: &[&str]) -> Option<&str> {
        self.options
            .iter()
            .map(|(k, _)| k.as_str())
            .find(|k| !known.contains(k))
    }
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.location)?;
        for (n, (key, value)) in self.options.iter().enumerate() {
            write!(f, "{}{key}={value}", if n == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => {
                "a store is written `provider:location`, such as `dotenv:.env` or `local:`"
            }
            Self::Options => "options of a store are written `?key=value&key=value`, each key once",
            Self::Credentials => "a store's address must not hold a user name, password or token",
            Self::Control => "a store's address must not hold control characters",
        })
    }
}

impl std::error::Error for InvalidUri {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_taken_apart_and_put_together_again() {
        let uri = StoreUri::parse("dotenv:conf/.env?dialect=docker&x=1").unwrap();
        assert_eq!((uri.scheme(), uri.location()), ("dotenv", "conf/.env"));
        assert_eq!(
            (uri.option("dialect"), uri.option("y")),
            (Some("docker"), None)
        );
        assert_eq!(uri.unknown_option(&["dialect"]), Some("x"));
        assert_eq!(uri.to_string(), "dotenv:conf/.env?dialect=docker&x=1");
    }

    #[test]
    fn credentials_and_malformed_texts_are_refused() {
        for (text, why) in [
            (".env", InvalidUri::NoScheme),
            ("C:\\x", InvalidUri::NoScheme),
            ("dotenv:a?b", InvalidUri::Options),
            ("dotenv:a?b=1&b=2", InvalidUri::Options),
            ("vault://u:p@host/x", InvalidUri::Credentials),
            ("vault:x?token=y", InvalidUri::Credentials),
            ("dotenv:a\nb", InvalidUri::Control),
        ] {
            assert_eq!(StoreUri::parse(text), Err(why), "{text}");
        }
    }
}
