//! Where is kept what takes long to make or to fetch: outside the repository, as everybody's caches are.

use std::path::PathBuf;

/// The folder of one purpose. It need not be there.
pub(crate) fn folder(purpose: &str) -> Result<PathBuf, String> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let cache = cache.ok_or("neither XDG_CACHE_HOME nor HOME says where a cache is to be")?;
    Ok(cache.join(format!("menshen-{purpose}")))
}
