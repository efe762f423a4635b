//! The process worker.

fn main() -> std::process::ExitCode {
    dockercoins::worker::main(std::env::args_os())
}
