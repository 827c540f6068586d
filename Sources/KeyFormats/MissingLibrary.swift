/// A library that is loaded on first use, and is not installed.
package struct MissingLibrary: Error, Equatable {
  /// The name of the file.
  package let file: String
  /// What the library does, as in "libjansson.so.4, which reads JSON".
  package let use: String
  /// Its name, and that of the Debian package.
  package let name: String
  package let debianPackage: String

  static let jansson = MissingLibrary(
    file: "libjansson.so.4", use: "reads JSON", name: "libjansson", debianPackage: "libjansson4")
}
