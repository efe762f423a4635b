//! The process service2.

fn main() -> std::process::ExitCode {
    service2::main(std::env::args_os())
}
