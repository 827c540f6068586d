extension Session {
  /// Throws where there is an enrolment, unless it is to be replaced.
  ///
  /// - Parameters:
  ///   - standing: What there is.
  ///   - force: Whether it was asked for that what is there be replaced.
  /// - Throws: ``SetupError`` with ``ExitStatus/refused``, or why no login can use what is there, or why nothing
  ///   can be made there.
  func requireFree(_ standing: EnrollmentStore.Standing, force: Bool) throws {
    switch standing {
    // Before anything is asked for nothing.
    case .absent: try store.requirePlace()
    case _ where force: return
    case .enrolled:
      throw SetupError(
        .refused, "two-factor is on already for \(accountName)",
        hint: "for a new phone: twofactor device add NAME, or replace what is there with --force")
    case .unusable(let failure): throw SetupError(failure, directory: store.directory)
    }
  }
}
