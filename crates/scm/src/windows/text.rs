//! Text as Windows has it: UTF-16, ended by a zero; lists of such ended by one more.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt as _;

/// Text for Windows. One with a NUL in it would be cut there, and is an error.
pub(crate) fn wide(text: &str) -> io::Result<Vec<u16>> {
    if text.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} has a NUL in it")));
    }
    Ok(text.encode_utf16().chain([0]).collect())
}

/// A list for Windows. An empty text would end it, and is an error.
pub(crate) fn wide_list<T: AsRef<str>>(texts: &[T]) -> io::Result<Vec<u16>> {
    let mut list = Vec::new();
    for text in texts {
        if text.as_ref().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a text of a list is empty"));
        }
        list.extend(wide(text.as_ref())?);
    }
    // An empty list is two zeros, too.
    if list.is_empty() {
        list.push(0);
    }
    list.push(0);
    Ok(list)
}

/// What Windows tells. Nothing is an empty text.
///
/// # Safety
/// The pointer is null, or leads to text with a zero at its end.
pub(crate) unsafe fn text(pointer: *const u16) -> String {
    // SAFETY: so the caller says.
    unsafe { os_text(pointer) }.to_string_lossy().into_owned()
}

/// The same, exactly.
///
/// # Safety
/// The pointer is null, or leads to text with a zero at its end.
pub(crate) unsafe fn os_text(pointer: *const u16) -> OsString {
    if pointer.is_null() {
        return OsString::new();
    }
    let mut length = 0;
    // SAFETY: up to and with the zero everything belongs to the text.
    while unsafe { *pointer.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: as above.
    OsString::from_wide(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// A list that Windows tells. Nothing is an empty list.
///
/// # Safety
/// The pointer is null, or leads to a list of texts with a zero at the end of each, and one more.
pub(crate) unsafe fn texts(mut pointer: *const u16) -> Vec<String> {
    let mut texts = Vec::new();
    // SAFETY: the pointer leads to the beginning of a text of the list, or to its end, which is a zero.
    while !pointer.is_null() && unsafe { *pointer } != 0 {
        // SAFETY: as above.
        let one = unsafe { os_text(pointer) };
        let length = std::os::windows::ffi::OsStrExt::encode_wide(one.as_os_str()).count();
        texts.push(one.to_string_lossy().into_owned());
        // SAFETY: behind the text and its zero is the next, or the end of the list.
        pointer = unsafe { pointer.add(length + 1) };
    }
    texts
}
