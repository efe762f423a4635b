//! The process hasher.

fn main() -> std::process::ExitCode {
    dockercoins::hasher::main(std::env::args_os())
}
