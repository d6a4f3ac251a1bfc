//! Names that can take a process over: a value under one of them makes the loader, a shell, an
//! interpreter or a tool run or load what the value says.

/// One such name, or a prefix of such names.
struct Rule {
    name: &'static str,
    prefix: bool,
    why: &'static str,
}

const fn exact(name: &'static str, why: &'static str) -> Rule {
    Rule {
        name,
        prefix: false,
        why,
    }
}

const fn starting(name: &'static str, why: &'static str) -> Rule {
    Rule {
        name,
        prefix: true,
        why,
    }
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // ld.so(8), dyld(1), iconv(3), locale: libraries of the value's choosing.
    starting("LD_", "the dynamic loader loads what it names"),
    starting("DYLD_", "the dynamic loader loads what it names"),
    starting("GLIBC_TUNABLES", "it changes the C library"),
    exact("GCONV_PATH", "the C library loads modules from it"),
    exact("LOCPATH", "the C library loads locales from it"),
    exact("NLSPATH", "the C library reads format strings from it"),
    exact("HOSTALIASES", "the resolver takes host names from it"),
    exact("RES_OPTIONS", "it changes the resolver"),
    exact("LOCALDOMAIN", "it changes the resolver"),
    // bash(1), dash(1), zsh(1): files that are run, or how words are split.
    exact("BASH_ENV", "a shell runs the file it names"),
    starting("BASH_FUNC_", "a shell defines functions from it"),
    exact("BASHOPTS", "it changes the shell"),
    exact("SHELLOPTS", "it changes the shell"),
    exact("ENV", "a shell runs the file it names"),
    exact("ZDOTDIR", "a shell runs files from it"),
    exact("IFS", "it changes how a shell splits words"),
    exact("PS4", "a tracing shell runs it"),
    exact("PROMPT_COMMAND", "a shell runs it"),
    exact("PATH", "commands are searched in it"),
    exact("SHELL", "programs start it as the shell"),
    exact("CDPATH", "a shell changes folders by it"),
    // python3 --help-env and Python's site, pdb and warnings modules.
    exact("PYTHONSTARTUP", "Python runs the file it names"),
    exact("PYTHONPATH", "Python loads modules from it"),
    exact("PYTHONHOME", "Python loads its library from it"),
    exact("PYTHONBREAKPOINT", "Python calls what it names"),
    exact("PYTHONINSPECT", "Python stays open for input"),
    exact("PYTHONUSERBASE", "Python loads modules from it"),
    exact("PYTHONWARNINGS", "Python imports what it names"),
    exact("PYTHONEXECUTABLE", "Python takes it for itself"),
    exact("PYTHONPLATLIBDIR", "Python loads its library from it"),
    exact("PYTHONPYCACHEPREFIX", "Python loads compiled code from it"),
    exact("GUNICORN_CMD_ARGS", "gunicorn takes arguments from it"),
    starting("UWSGI_", "uWSGI takes options from it"),
    exact("PYTEST_ADDOPTS", "pytest takes arguments from it"),
    exact("PYTEST_PLUGINS", "pytest loads what it names"),
    starting("PIP_", "pip takes options from it"),
    // Other interpreters and their tools.
    exact("NODE_OPTIONS", "node loads what it names"),
    exact("NODE_PATH", "node loads modules from it"),
    exact("PERL5OPT", "Perl loads what it names"),
    exact("PERL5LIB", "Perl loads modules from it"),
    exact("PERL5DB", "Perl runs it"),
    exact("PERLLIB", "Perl loads modules from it"),
    exact("RUBYOPT", "Ruby loads what it names"),
    exact("RUBYLIB", "Ruby loads modules from it"),
    exact("JAVA_TOOL_OPTIONS", "Java loads agents from it"),
    exact("_JAVA_OPTIONS", "Java takes options from it"),
    exact("JDK_JAVA_OPTIONS", "Java takes options from it"),
    exact("CLASSPATH", "Java loads classes from it"),
    exact("PHPRC", "PHP reads its configuration from it"),
    exact("PHP_INI_SCAN_DIR", "PHP reads its configuration from it"),
    exact("LUA_INIT", "Lua runs it"),
    exact("DOTNET_STARTUP_HOOKS", ".NET loads what it names"),
    exact("OPENSSL_CONF", "OpenSSL loads engines from it"),
    exact("OPENSSL_ENGINES", "OpenSSL loads engines from it"),
    exact("OPENSSL_MODULES", "OpenSSL loads modules from it"),
    // git(1) and programs that start an editor, a pager or a browser.
    starting("GIT_", "git runs commands it names"),
    exact("EDITOR", "programs start it as an editor"),
    exact("VISUAL", "programs start it as an editor"),
    exact("PAGER", "programs start it as a pager"),
    exact("BROWSER", "programs start it as a browser"),
    exact("LESSOPEN", "less runs it"),
    exact("LESSCLOSE", "less runs it"),
    exact("MANPAGER", "man runs it"),
    exact("PSQL_PAGER", "psql runs it"),
    exact("SYSTEMD_PAGER", "systemd's tools run it"),
    exact("SSH_ASKPASS", "ssh runs it"),
    exact("SUDO_ASKPASS", "sudo runs it"),
    starting("NPM_CONFIG_", "npm takes options from it"),
    starting("npm_config_", "npm takes options from it"),
    exact("SSLKEYLOGFILE", "programs write the keys of their connections into it"),
    // Where programs look for their own configuration, and code in it.
    exact("HOME", "programs read their configuration from it"),
    exact("XDG_CONFIG_HOME", "programs read their configuration from it"),
    exact("XDG_CONFIG_DIRS", "programs read their configuration from it"),
    exact("XDG_DATA_DIRS", "programs load files from it"),
    exact("MAKEFLAGS", "make takes options from it"),
    exact("MALLOC_TRACE", "the C library writes into the file it names"),
    exact("CARGO_HOME", "cargo reads its configuration from it"),
    exact("RUSTC_WRAPPER", "cargo runs it"),
    exact("FPATH", "a shell loads functions from it"),
];

/// Why `name` is dangerous to pass on; `None` if it is not. `*_PROXY` and the like are not here:
/// they say where to send, not what to run.
pub fn reason(name: &str) -> Option<&'static str> {
    RULES
        .iter()
        .find(|rule| {
            if rule.prefix {
                name.starts_with(rule.name)
            } else {
                name == rule.name
            }
        })
        .map(|rule| rule.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_promise_is_refused() {
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "GCONV_PATH",
            "BASH_ENV",
            "BASH_FUNC_x",
            "ENV",
            "IFS",
            "PATH",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONBREAKPOINT",
            "GUNICORN_CMD_ARGS",
            "NODE_OPTIONS",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "GIT_SSH_COMMAND",
        ] {
            assert!(reason(name).is_some(), "{name}");
        }
    }

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "SECRET_KEY",
            "DATABASE_URL",
            "ENVIRONMENT",
            "PATHS",
            "DJANGO_SETTINGS_MODULE",
            "HTTP_PROXY",
            "LDAP_URL",
            "GITHUB_TOKEN",
        ] {
            assert!(reason(name).is_none(), "{name}");
        }
    }
}
