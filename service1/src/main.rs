//! service1 as a process.

fn main() -> std::process::ExitCode {
    service1::main(std::env::args_os())
}
