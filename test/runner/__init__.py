# SPDX-License-Identifier: Apache-2.0
"""The test runner.

main      the command line, the order of things, the summary
casefile  .case files: reading them, writing expected text back
scratch   a folder, a database and a way to run commands for one case
compare   rows, numbers and texts
kinds     what each kind of case does
coverage  what the list of operators, joins and error ids demands of the cases
suites    what is not a case: unit tests, fuzz corpora, code blocks in documents, mutations, kills
"""
