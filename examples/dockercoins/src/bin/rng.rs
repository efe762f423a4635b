//! The process rng.

fn main() -> std::process::ExitCode {
    dockercoins::rng::main(std::env::args_os())
}
