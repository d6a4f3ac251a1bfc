//! The `secrets` program: parse, run, exit code. All else is in the library.

fn main() -> std::process::ExitCode {
    secrets::run(std::env::args_os())
}
