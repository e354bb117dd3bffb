/** Fetches the engines, with steps to watch. */
import { createSteps } from '../../scripts/steps.cjs';
import { fetchEngines } from './index';

fetchEngines(createSteps()).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
