use std::{env, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = PathBuf::from(env::var("PROTOS")?);
    // SAFETY: a build script has one thread here.
    unsafe { env::set_var("PROTOC", protoc_bin_vendored::protoc_bin_path()?) };
    let mut builder = tonic_prost_build::configure().build_server(false);
    // Boxed before the crate is published, because it changes public types: StreamEvent shrinks to a tenth.
    for kind in ["start", "end", "part_start", "part_end", "part_update", "usage", "attempt", "candidate_end", "native_event", "warning"] {
        builder = builder.boxed(format!("antiphon.llm.v1.StreamEvent.kind.{kind}"));
    }
    let files: Vec<_> = ["llm/v1/chat", "llm/v1/models", "router/v1/router", "config/v1/suite"]
        .iter()
        .map(|name| protos.join("antiphon").join(format!("{name}.proto")))
        .collect();
    builder.compile_protos(&files, &[protos])?;
    Ok(())
}
