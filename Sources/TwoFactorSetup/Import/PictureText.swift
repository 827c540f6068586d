import CSetup
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// The texts of the QR codes in a picture, read by zbarimg(1).
///
/// ImageMagick, which zbarimg uses, decodes a picture that an attacker may have made. The program therefore runs
/// without root's privileges, without a terminal and within limits. The command names the decoder, so that ImageMagick
/// does not choose one by the content or a file name.
enum PictureText {
  private static let program = "/usr/bin/zbarimg"

  /// In seconds. A picture of 12 megapixels takes half a second.
  private static let timeout = 20

  /// In bytes. A QR code has up to 2,953 (ISO/IEC 18004).
  private static let longestText = 1 << 18

  /// The exit status if the picture has no code (zbarimg(1)).
  private static let noCode: Int32 = 4

  /// Kinds of pictures by the bytes at an offset, with ImageMagick's name; nil for those that are not decoded.
  private static let kinds: [(decoder: String?, offset: Int, bytes: [UInt8])] = [
    ("png", 0, [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]),
    ("jpeg", 0, [0xFF, 0xD8, 0xFF]),
    ("gif", 0, Array("GIF87a".utf8)),
    ("gif", 0, Array("GIF89a".utf8)),
    ("webp", 8, Array("WEBPVP8".utf8)),
    // The reserved bytes in the header of a bitmap, without which its two letters could begin a text.
    ("bmp", 6, [0, 0, 0, 0]),
    (nil, 4, Array("ftyphei".utf8)),
    (nil, 4, Array("ftypmif".utf8)),
    (nil, 4, Array("ftypavif".utf8)),
    (nil, 0, Array("II*\0".utf8)),
    (nil, 0, Array("MM\0*".utf8)),
    (nil, 0, Array("%PDF-".utf8)),
    (nil, 0, Array("<svg ".utf8)),
  ]

  private static func kind(of bytes: Span<UInt8>) -> (decoder: String?, offset: Int, bytes: [UInt8])? {
    kinds.first { kind in
      contains(bytes, kind.bytes, at: kind.offset)
        && (kind.decoder != "bmp" || contains(bytes, Array("BM".utf8), at: 0))
    }
  }

  private static func contains(_ bytes: Span<UInt8>, _ part: [UInt8], at offset: Int) -> Bool {
    bytes.count >= offset + part.count && part.indices.allSatisfy { bytes[offset + $0] == part[$0] }
  }

  /// Whether a file with this content is a picture, even one that cannot be read.
  static func isPicture(_ bytes: Span<UInt8>) -> Bool { kind(of: bytes) != nil }

  /// Decodes a picture for which ``isPicture(_:)`` holds. `source` is its name in messages.
  ///
  /// - Returns: The text of each QR code, followed by a line feed.
  /// - Throws: ``SetupError``, also if no code contains an otpauth URI.
  static func read(_ bytes: Span<UInt8>, source: String) throws -> SecretBuffer {
    guard let decoder = kind(of: bytes)?.decoder else {
      throw SetupError(
        .unusableData, "\(source): pictures of this kind cannot be read",
        hint: "take a screenshot of the QR code, and save it as PNG or JPEG")
    }
    guard program.isAccessible(X_OK) else {
      throw SetupError(
        .unusableData, "\(source): zbarimg, which reads pictures, is not installed",
        hint: "install the package zbar-tools, or type the text of the QR code at: twofactor import")
    }
    let picture = OpenFile(owning: csetup_memory_file())
    let text = OpenFile(owning: csetup_memory_file())
    let (input, output) = (picture.descriptor, text.descriptor)
    do throws(Errno) {
      try picture.write(bytes, at: 0)
    } catch {
      throw SetupError(.inputOutput, "cannot copy \(source): \(error.text)")
    }
    let problem = ChildProcess.failure {
      let decoded = try decode(input, with: decoder, source)
      try OpenFile(owning: output).write(decoded.span, at: 0)
    }
    if let problem { throw problem }
    guard var codes = SecretBuffer(capacity: longestText) else { throw SetupError.outOfMemory }
    do throws(Errno) {
      try text.read(into: &codes)
    } catch {
      throw SetupError(.inputOutput, "cannot read the text of \(source): \(error.text)")
    }
    return codes
  }

  /// Runs zbarimg in this child process, which drops its privileges.
  private static func decode(_ picture: Int32, with decoder: String, _ source: String) throws -> [UInt8] {
    // Ctrl-C ends the command, but not this process, which removes the temporary files.
    setsid()
    if geteuid() == 0, csetup_become_nobody() != 0 {
      throw SetupError(.notPermitted, "cannot drop the privileges of root: \(Errno.current.text)")
    }
    for (resource, limit) in [
      (RLIMIT_CPU, timeout), (RLIMIT_FSIZE, 2 * ImportSource.longest), (RLIMIT_AS, 1 << 30),
    ] {
      var limit = rlimit(rlim_cur: rlim_t(limit), rlim_max: rlim_t(limit))
      // SAFETY: the structure outlives the call.
      unsafe setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
    }
    let folder = try makeTemporaryFolder()
    defer { removeTemporaryFolder(folder) }
    let run: ProgramRun
    do throws(Errno) {
      run = try ProgramRun(
        // Without --nodbus, zbarimg sends the texts to the system bus.
        program,
        ["--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", "-Sqrcode.binary", "\(decoder):-"],
        inputDescriptor: picture,
        environment: [
          "MAGICK_TMPDIR=\(folder)", "MAGICK_DISK_LIMIT=0", "MAGICK_THREAD_LIMIT=1", "OMP_NUM_THREADS=1",
        ], outputLimit: longestText, keepsErrors: false, timeout: timeout)
    } catch {
      throw SetupError(.inputOutput, "cannot run \(program): \(error.text)")
    }
    let text = String(decoding: run.outputBytes, as: UTF8.self).lowercased()
    guard run.end != .exited(noCode) else {
      throw SetupError(
        .unusableData, "\(source): no QR code found in the picture",
        hint: "crop the picture to the QR code, or type the text of the QR code at: twofactor import")
    }
    guard run.end == .exited(0), !text.isEmpty, run.outputBytes.count < longestText else {
      throw SetupError(
        .unusableData, "\(source): zbarimg cannot read the picture, which is damaged or too large",
        hint: "crop the picture to the QR code, and save it as PNG")
    }
    guard text.contains("otpauth") else {
      throw SetupError(
        .unusableData, "\(source): the QR code in the picture is not the key of an app for one-time codes",
        hint: "such a QR code contains a text that begins with otpauth://")
    }
    return run.outputBytes
  }

  /// A directory for the copies of the picture that ImageMagick makes: in memory, if possible.
  private static func makeTemporaryFolder() throws -> String {
    for parent in ["/dev/shm", "/tmp"] {
      var template = Array("\(parent)/twofactor-XXXXXX".utf8CString)
      // SAFETY: the template is NUL-terminated.
      if unsafe mkdtemp(&template) != nil { return String(terminated: template) }
    }
    throw SetupError(.inputOutput, "cannot create a temporary directory: \(Errno.current.text)")
  }

  /// A program that was killed leaves its files.
  private static func removeTemporaryFolder(_ path: String) {
    // SAFETY: the path is NUL-terminated.
    if let folder = try? unsafe OpenFile.following(path, for: .directory), var names = try? folder.names() {
      while let name = names.next() { try? folder.remove(name) }
    }
    // SAFETY: the path is NUL-terminated.
    _ = unsafe rmdir(path)
  }
}
