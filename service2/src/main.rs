//! service2 as a process.

fn main() -> std::process::ExitCode {
    service2::main(std::env::args_os())
}
