//! The process service1.

fn main() -> std::process::ExitCode {
    service1::main(std::env::args_os())
}
