/** The doors to the project file that load the YAML library only when they are used: an ad hoc run needs none. */
import type { Project } from './find.ts'
import type { KnownConnectors, Survey } from './read.ts'

/** The project of a folder. Throws PROJECT_NOT_FOUND, PROJECT_INVALID. */
export const loadProject = async (cwd: string, known?: KnownConnectors): Promise<Project> =>
  (await import('./read.ts')).loadProject(cwd, known)

/** Reads a project file. Throws PROJECT_INVALID. */
export const readProject = async (file: string, known?: KnownConnectors): Promise<Project> =>
  (await import('./read.ts')).readProject(file, known)

/** Everything that is wrong with the project of a folder, and what of it could be read. Throws PROJECT_NOT_FOUND. */
export const surveyProject = async (cwd: string, known?: KnownConnectors): Promise<Survey> =>
  (await import('./read.ts')).surveyProject(cwd, known)
