//! The contract as Rust sees it; compiled, not used.
pub mod antiphon {
    pub mod llm {
        pub mod v1 {
            tonic::include_proto!("antiphon.llm.v1");
        }
    }
    pub mod router {
        pub mod v1 {
            tonic::include_proto!("antiphon.router.v1");
        }
    }
    pub mod config {
        pub mod v1 {
            tonic::include_proto!("antiphon.config.v1");
        }
    }
}
